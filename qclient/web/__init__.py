"""The whole state on a page in a browser, and for Prometheus. Needs `pip install 'qserver[web]'`.

    qclient web --port 7780

It is a client like others, in a process of its own: what it shows it asks the server for, when
somebody looks, a few pages at a time; and it changes nothing. So whoever reaches the page can't do
the queues any harm, and however many look at the overview, the server is asked once a second.
"""
