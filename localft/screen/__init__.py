"""What a person sees of a run: events in; a drawn screen, plain lines or lines of JSON out. Nothing else imports rich.

Open `terminal.py` first. `run_report.py` has the words before and after a run, `metrics_table.py` the rows in
between, `plain.py` the screens that draw nothing. All that any command writes passes `border.py`.
"""
