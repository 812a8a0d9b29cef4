"""Files from strangers, mutated by the thousand, and writers that are killed: nothing may crash, hang or escape.

mutate.py    bytes → other bytes, by what kind of file they are
targets.py   what is attacked: a folder of sound files, and the commands that read it
attempt.py   one command in a forked process with limits → what came of it
campaign.py  many attempts, for so many cases or minutes; `make hostile`
faults.py    kills and disk errors at chosen file operations
found.json   cases that once failed; each is tried again by `make test`
"""
