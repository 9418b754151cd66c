"""A page of Streamlit, which is a run of this script in a thread of its own."""

import service
import streamlit

streamlit.write(service.answer())
