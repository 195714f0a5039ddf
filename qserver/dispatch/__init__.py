"""From words to one broker call and back to bytes; it knows the verbs, but no rule of a queue.

conversation.py   one client's lines, in order, and the request that holds them up
client.py         what is known of a client: its name, session, and what it waits for
verbs.py          the table: verb → form, handler
message_verbs.py  PUT GET ACK NACK RELEASE TOUCH LEASES PEEK
outcome_verbs.py  PROGRESS DONE RESULT
queue_verbs.py    LIST QUEUE PAUSE RESUME PURGE DROP REDRIVE
server_verbs.py   HELLO CLIENTS STATS PING HELP QUIT
lines.py          messages and queues as lines of a reply
"""
