"""
Event source mappings: Lambda's poller as pure state machines (state + event + now -> actions).

| module | subject |
| --- | --- |
| actions | the language between a mapping and its driver; start reading here |
| config | AWS's parameters, and the pace of what AWS leaves open |
| kernel | states, alarms, what is in the air: shared by both kinds |
| stream, shard | lineage of shards, reading, checkpoints |
| lane, entry | batches of one lane: gathering, retries, bisect, giving up |
| windowed_lane, window | tumbling windows and their state |
| onfailure | the record for an on-failure destination |
| queue | receive, gather, invoke, delete; FIFO groups; concurrency |
| selection, results, payload | filters; what a response means; the event as text |
"""
