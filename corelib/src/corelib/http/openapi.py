"""The OpenAPI 3.1 document of a service and a page to read it, both without anything from the network."""

import inspect
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from corelib.api import Api, Endpoint, Operation
from corelib.http.binding import Signature
from corelib.http.server import signatures

_REF = "#/components/schemas/{model}"
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "trace_id": {"type": "string"},
    },
}


def document(title: str, version: str, apis: Sequence[Api]) -> dict[str, Any]:
    """Return the document as JSON-ready data."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, Any] = {}
    for operation, endpoint, sign in signatures(apis):
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, endpoint, sign, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(operation: Operation, endpoint: Endpoint, sign: Signature, schemas: dict[str, Any]) -> dict[str, Any]:
    text = inspect.getdoc(endpoint) or endpoint.__name__.replace("_", " ")
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}{re.sub(r'[^a-z0-9]+', '_', operation.path.lower())}".rstrip("_"),
        "summary": text.splitlines()[0],
        "parameters": _parameters(operation, sign),
        "responses": {
            str(operation.status): _content(sign.returns, schemas),
            "4XX": {
                "description": "A problem document (RFC 9457) that says what is wrong",
                "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}},
            },
        },
    }
    if sign.body is not None:
        described["requestBody"] = {"required": True, **_content(sign.body, schemas)}
    if sign.wants_caller or operation.roles:
        described["security"] = [{"bearer": []}]
    return described


def _parameters(operation: Operation, sign: Signature) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": adapter.json_schema()}
        for name, adapter in sign.path.items()
    ]
    if sign.query is not None:
        schema = sign.query.model_json_schema()
        found += [
            {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": part}
            for name, part in schema.get("properties", {}).items()
        ]
    if operation.idempotent != "no":
        required = operation.idempotent == "required"
        found.append({"name": "Idempotency-Key", "in": "header", "required": required, "schema": {"type": "string"}})
    return found


def _content(model: type[BaseModel] | None, schemas: dict[str, Any]) -> dict[str, Any]:
    if model is None:
        return {"description": "Done"}
    schema = model.model_json_schema(ref_template=_REF)
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {
        "description": model.__name__,
        "content": {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}},
    }


def routes(title: str, version: str, apis: Sequence[Api]) -> list[web.RouteDef]:
    """Return the routes of the document, /openapi.json, and of its page, /docs."""
    described = cache(lambda: document(title, version, apis))

    async def openapi(_: web.Request) -> web.Response:
        return web.json_response(described())

    async def docs(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    return [web.get("/openapi.json", openapi), web.get("/docs", docs)]


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>API</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
code,pre{background:#f4f4f4;border-radius:4px;padding:.1rem .3rem}pre{padding:.8rem;overflow:auto}
details{border:1px solid #ddd;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}summary{cursor:pointer}
b.get{color:#0a6}b.post{color:#06c}b.put,b.patch{color:#a60}b.delete{color:#c22}</style>
<h1></h1><div id="operations"></div><h2>Schemas</h2><div id="schemas"></div><script>
const text=(tag,content,cls)=>{const e=document.createElement(tag);
e.textContent=content;if(cls)e.className=cls;return e};
const fold=(head,parts)=>{const d=document.createElement('details'),s=document.createElement('summary');
s.append(...head);d.append(s,...parts);return d};
const json=value=>text('pre',JSON.stringify(value,null,2));
fetch('openapi.json').then(r=>r.json()).then(api=>{
document.querySelector('h1').textContent=api.info.title+' '+api.info.version;
document.title=api.info.title;
for(const[path,methods]of Object.entries(api.paths))
for(const[method,o]of Object.entries(methods)){
const parts=[text('p',o.security?'Needs a bearer token.':'Open to all.')];
if(o.parameters.length)parts.push(text('h4','Parameters'),json(o.parameters));
if(o.requestBody)parts.push(text('h4','Body'),json(o.requestBody));
parts.push(text('h4','Responses'),json(o.responses));
operations.append(fold([text('b',method.toUpperCase()+' ',method),text('code',path),text('span',' '+o.summary)],parts))}
for(const[name,schema]of Object.entries(api.components.schemas))
schemas.append(fold([text('code',name)],[json(schema)]))});
</script></html>"""
