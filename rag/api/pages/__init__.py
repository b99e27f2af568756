"""The web pages: server-rendered Jinja2 and htmx, without a build step. One module a page; see docs/web.md.

A page's module has an APIRouter(include_in_schema=False, route_class=PageRoute), its templates lie in templates/, and
it stands in EVERYTHING of rag/api/application.py. rendering.py makes the responses, forms.py reads what is sent,
static.py serves what pages load.
"""
