"""Small chat templates that show, one each, what templates of well-known models do with reasoning and endings."""

from __future__ import annotations

_USER = "{% if m.role != 'assistant' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
_ASKS = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_OPENS = "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
_LOOP = "{% for m in messages %}" + _USER + "{% else %}"
_END = "<|im_end|>\n{% endif %}{% endfor %}"
_SPLIT = (
    "{% set c = m.content %}{% set r = '' %}{% if m.reasoning_content is string %}{% set r = m.reasoning_content %}"
    "{% elif '</think>' in c %}{% set r = c.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
    "{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}"
)
_BLOCK = "{{ '<think>\n' + r.strip('\n') + '\n</think>\n\n' }}"

# looks for reasoning in the content and under a key; says of the last answer without any that there is none
EMPTY_BLOCK = (
    _LOOP + _SPLIT + "<|im_start|>assistant\n{% if loop.last %}" + _BLOCK + "{% endif %}{{ c }}" + _END + _ASKS
)
# the same behind a prompt that lets the model think
EMPTY_BLOCK_OPEN = EMPTY_BLOCK.replace(_ASKS, _OPENS)
# drops reasoning wherever it stands, behind a prompt that lets the model think
DROPS = _LOOP + "<|im_start|>assistant\n{{ m.content.split('</think>')[-1] }}" + _END + _OPENS
# drops it of earlier answers only
DROPS_EARLIER = (
    _LOOP
    + "<|im_start|>assistant\n{{ m.content if loop.last else m.content.split('</think>')[-1].lstrip('\n') }}"
    + _END
    + _OPENS
)
# prints it under a key only, and ends the thinking that the prompt has begun where there is none
BY_KEY = (
    _LOOP
    + "<|im_start|>assistant\n{% if m.reasoning %}<think>{{ m.reasoning }}</think>{% else %}</think>{% endif %}"
    + "{{ m.content }}"
    + _END
    + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% endif %}"
)
# prints it under a key, in a channel of its own, and ends its last answer otherwise than earlier ones
CHANNELS = (
    "{% for m in messages %}{% if m.role != 'assistant' %}<|begin|>{{ m.role }}<|msg|>{{ m.content }}<|stop|>"
    "{% else %}{% if m.thinking and loop.last %}"
    "{{ '<|begin|>assistant<|chan|>analysis<|msg|>' + m.thinking + '<|stop|>' }}{% endif %}"
    "<|begin|>assistant<|chan|>final<|msg|>{{ m.content }}"
    "{{ '<|return|>' if loop.last else '<|stop|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|begin|>assistant{% endif %}"
)
# has a tag of its own for reasoning
OWN_TAG = (
    _LOOP
    + "<|im_start|>assistant\n{% if m.reasoning_content %}"
    + "<seed:think>{{ m.reasoning_content }}</seed:think>\n{% endif %}{{ m.content }}"
    + _END
    + _ASKS
)
# its prompt says that there is no reasoning
CLOSED = (
    _LOOP
    + "<|im_start|>assistant\n<think></think>{{ m.content.split('</think>')[-1] }}"
    + _END
    + "{% if add_generation_prompt %}<|im_start|>assistant\n<think></think>{% endif %}"
)
# drops it, and lets nothing of it into the prompt
NO_REASONING = DROPS.replace(_OPENS, _ASKS)
# takes switches out of what the user says
SWITCHES = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content.replace('/no_think', '') if m.role != 'assistant' else m.content }}<|im_end|>\n{% endfor %}" + _ASKS
)
THINKING = {
    "empty block": EMPTY_BLOCK,
    "empty block, open": EMPTY_BLOCK_OPEN,
    "drops": DROPS,
    "drops earlier": DROPS_EARLIER,
    "by key": BY_KEY,
    "channels": CHANNELS,
    "own tag": OWN_TAG,
    "closed": CLOSED,
    "no reasoning": NO_REASONING,
}

# marks of its own around an answer, the last of which ends it
MARKS = (
    "{% for m in messages %}<|turn|>{{ m.role }}{% if m.role == 'assistant' %}"
    "<|START_RESPONSE|>{{ m.content | trim }}<|END_RESPONSE|><|END_OF_TURN|>"
    "{% else %}{{ m.content }}<|END_OF_TURN|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant<|START_RESPONSE|>{% endif %}"
)
# the same, but for words between the marks
WORDED_MARKS = MARKS.replace("<|END_RESPONSE|>", "<|close|>response<|sep|>")
# the same, and its prompt says something else than the answer's header
OTHER_PROMPT = MARKS.replace("assistant<|START_RESPONSE|>{% endif", "assistant<|think|><|end_think|>{% endif")
# marks of its own, and no end token
MARKS_ONLY = MARKS.replace("<|END_OF_TURN|>", "")
MARK_TOKENS = ("<|turn|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|END_OF_TURN|>", "<|close|>", "<|sep|>")
CHANNEL_TOKENS = ("<|begin|>", "<|msg|>", "<|chan|>", "<|stop|>", "<|return|>")
# looks at the first message, whatever there is
LOOKS = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}!{% endif %}"
