"""CherryPy, Streamlit, Gradio, Locust, Scrapy, APScheduler 4."""

from servers.row import Row, fault

ALONE = ("term", "group")
CUT = fault("without graceexit SIGTERM kills it during the request", "answer")
JOB = fault("without graceexit SIGTERM kills it during the job", "answer")
JOINS = fault("without graceexit the idle worker of a pool keeps it for ever", "plain hangs")

ROWS = [
    Row(
        "CherryPy",
        "on_cherrypy.py PORT",
        "^imported ",
        ("cherrypy",),
        columns=ALONE,
        write='`cherrypy.engine.subscribe("exit", graceexit.shutdown, priority=90)`,'
        " `on_exit(pool.shutdown)`",
        faults=dict.fromkeys(ALONE, JOINS),
    ),
    Row(
        "Streamlit",
        "-m streamlit run on_streamlit.py --server.port PORT --server.address 127.0.0.1"
        " --server.headless true --browser.gatherUsageStats false --server.fileWatcherType none",
        "URL:",
        ("streamlit",),
        venv="streamlit",
        workers=0,
        columns=ALONE,
        env={"SERVICE": "PORT"},
        client="to_streamlit.py",
        restless=True,
    ),
    Row(
        "Gradio",
        "on_gradio.py PORT",
        "Running on local URL",
        ("gradio",),
        columns=ALONE,
        env={
            "SERVICE": "PORT",
            "ANSWER": "DIR/answer",
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
        },
        client="to_gradio.py",
    ),
    Row(
        "Locust",
        "-m locust -f on_locust.py --headless --users 1 --stop-timeout 10 --skip-log"
        " --host http://127.0.0.1",
        "^imported ",
        ("locust",),
        columns=ALONE,
        client="",
    ),
    Row(
        "Scrapy",
        "on_scrapy.py",
        "^imported ",
        ("scrapy",),
        columns=ALONE,
        client="",
        restless=True,
    ),
    *[
        Row(
            f"APScheduler 4, {kind}",
            f"on_apscheduler_4.py {word}",
            "^imported ",
            ("apscheduler",),
            columns=ALONE,
            client="",
            restless=True,
            venv="apscheduler-4",
            faults={"term": JOB} if word == "sync" else {},
        )
        for kind, word in (("asyncio", "async"), ("a thread", "sync"))
    ],
]
