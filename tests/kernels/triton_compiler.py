"""Compiles every Triton kernel for one architecture without a GPU: ``python triton_compiler.py 90``, a JSON line each.

A program of its own, because a process that interprets kernels cannot compile them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton_cases import compile_cases, kernels

from graphrep.kernels._triton import CompileCase

_LOAD = re.compile(r"ld\.global(?:\.\w+)*?(?:\.v(\d))?\.[bfus](\d+)")


def source_of(case: CompileCase) -> ASTSource:
    """The kernel with its types; all pointers count as aligned to 16 bytes."""
    names = case.kernel.arg_names
    unknown = (set(case.signature) | set(case.constants)) - set(names)
    assert not unknown, f"{case.kernel.__name__} has no arguments {sorted(unknown)}"
    constants = dict(case.constants)
    constants |= {n: None for n in names if n.endswith("_ptr") and n not in case.signature and n not in constants}
    signature, attributes = {}, {}
    for place, name in enumerate(names):
        kind, _, divisor = case.signature.get(name, "i32").partition(":")
        signature[name] = "constexpr" if name in constants else kind
        if name not in constants and (kind.startswith("*") or divisor == "16"):
            attributes[(place,)] = [["tt.divisibility", 16]]
    return ASTSource(case.kernel, signature, constants, attributes)


def resources(cubin: bytes) -> dict[str, int]:
    """Registers and bytes of stack and local memory per thread, read from the machine code."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        done = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    found = dict(re.findall(r"\b(REG|STACK|LOCAL|SHARED):(\d+)", done.stdout))
    return {key.lower(): int(number) for key, number in found.items()}


def widest_load(ptx: str) -> int:
    """Bits of the widest load from global memory."""
    return max((int(count or 1) * int(bits) for count, bits in _LOAD.findall(ptx)), default=0)


def report(name: str, case: CompileCase, capability: int) -> dict[str, Any]:
    """What the compiler made of one case, or its error."""
    line = {"name": name, "arch": capability, "wide_loads": case.wide_loads, "spills": case.spills}
    options = {"num_warps": case.num_warps, "enable_fp_fusion": True}
    try:
        compiled = triton.compile(source_of(case), target=GPUTarget("cuda", capability, 32), options=options)
    except Exception as error:  # whatever the compiler raises is the finding
        return {**line, "error": f"{type(error).__name__}: {error}"[-2000:]}
    ptx = compiled.asm["ptx"]
    return {**line, **resources(compiled.asm["cubin"]), "load_bits": widest_load(ptx), "atomics": "atom." in ptx}


def main(capability: int, wanted: str = "") -> None:
    """Reports on each case, and names the kernels that have none."""
    cases = compile_cases()
    for name, case in cases:
        if wanted in name:
            print(json.dumps(report(name, case, capability)), flush=True)
    covered = {id(case.kernel) for _, case in cases}
    for name, kernel in kernels().items():
        if id(kernel) not in covered:
            print(json.dumps({"name": name, "error": "no compile case lists this kernel"}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
