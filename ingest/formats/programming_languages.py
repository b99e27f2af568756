"""Which programming language a file name's suffix means, and the media type each is known by here."""

import re

_NAMES = """
    Assembly .asm .s; Astro .astro; Batch .bat .cmd; Bicep .bicep; C .c .h; C# .cs .csx; C++ .cc .cpp .cxx .hh
    .hpp .hxx .inl; Clojure .clj .cljs .cljc .edn; CMake .cmake; COBOL .cob .cbl; CoffeeScript .coffee;
    Crystal .cr; CSS .css; CUDA .cu .cuh; Cython .pyx .pxd; D .d; Dart .dart; Elixir .ex .exs; Elm .elm;
    Erlang .erl .hrl; F# .fs .fsx .fsi; Fortran .f .f77 .f90 .f95 .f03; GLSL .glsl .vert .frag; Go .go;
    GraphQL .graphql .gql; Groovy .groovy .gradle; Haskell .hs .lhs; HCL .tf .tfvars .hcl; INI .ini .cfg .conf
    .properties .editorconfig; Java .java; JavaScript .js .mjs .cjs .jsx; Julia .jl; Kotlin .kt .kts; LaTeX
    .tex .sty .cls .bib; Less .less; Lisp .lisp .lsp .cl .el; Lua .lua; MATLAB .m; Nim .nim; Nix .nix;
    Objective-C++ .mm; OCaml .ml .mli; Pascal .pas .pp .dpr; Perl .pl .pm; PHP .php .phtml; PowerShell .ps1
    .psm1 .psd1; Prolog .pro; Protocol-Buffers .proto; Python .py .pyi .pyw; R .r; Racket .rkt; Ruby .rb .rake
    .gemspec; Rust .rs; Sass .sass .scss; Scala .scala .sbt; Scheme .scm .ss; Shell .sh .bash .zsh .fish .ksh;
    Solidity .sol; SQL .sql .ddl .dml .psql; Starlark .bzl .bazel; Svelte .svelte; Swift .swift; SystemVerilog
    .sv .svh; Tcl .tcl; Thrift .thrift; TOML .toml; TypeScript .ts .mts .cts .tsx; Verilog .v; VHDL .vhd
    .vhdl; Visual-Basic .vb .bas .vbs; Vue .vue; WebAssembly .wat; YAML .yaml .yml; Zig .zig
"""

BY_SUFFIX = {
    suffix: name.replace("-", " ") if name.startswith(("Visual", "Protocol")) else name
    for name, *suffixes in (entry.split() for entry in _NAMES.split(";"))
    for suffix in suffixes
}
"""The language of each suffix."""


def media_type(language: str) -> str:
    """The media type of a language's source code: "text/x-python"."""
    slug = language.lower().replace("+", "p").replace("#", "sharp")
    return f"text/x-{re.sub('[^a-z0-9]+', '-', slug)}"


BY_MEDIA_TYPE = {media_type(language): language for language in BY_SUFFIX.values()}
"""The language of each media type."""

_BY_LOWER_NAME = {language.lower(): language for language in BY_SUFFIX.values()}


def known(name: str) -> str:
    """A language's name as it is written here ("python" is Python); one that is not known stays as it is."""
    return _BY_LOWER_NAME.get(name.strip().lower(), name.strip())
