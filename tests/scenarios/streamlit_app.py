"""An application of Streamlit, which runs it once for each visit."""

import os

import streamlit
from owner import own, say

if "CACHED" in os.environ:
    own = streamlit.cache_resource(own)
own()
say("ran")
