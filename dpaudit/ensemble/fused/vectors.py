# mypy: allow-untyped-calls
"""Vectors of 16 lanes as values inside compiled functions, so that speed does not hang on what LLVM recognises.

Three types: sixteen float32, sixteen 32-bit words, eight 64-bit words. Any CPU runs them: LLVM splits them where its
registers are shorter. No fast-math flag is set anywhere: NaN and infinity keep their meaning, and the order of every
sum is fixed, so that a result does not depend on what else the compiler sees.
"""

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

__all__ = ["FLOATS", "LANES", "LONGS", "WORDS", "Vector", "emitted"]

LANES = 16
I32 = ir.IntType(32)


class Vector(types.Type):
    """`lanes` values of one LLVM kind."""

    def __init__(self, name: str, lane: Any, lanes: int) -> None:
        self.lane, self.lanes = lane, lanes
        super().__init__(name=f"{name}x{lanes}")

    @property
    def llvm(self) -> Any:
        """The LLVM type."""
        return ir.VectorType(self.lane, self.lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, fe_type.llvm)


FLOATS = Vector("float", ir.FloatType(), LANES)
WORDS = Vector("word", I32, LANES)
LONGS = Vector("long", ir.IntType(64), LANES // 2)


def emitted(result: Any, *kinds: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make `emit(builder, *values) -> value` a function for compiled code, with these argument types.

    A float32 vector may be given as a scalar (all lanes alike). A contiguous array (kind "array") is followed by an
    offset, and `emit` gets the pointer to that element in place of both.
    """

    def wrap(emit: Callable[..., Any]) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            ready: list[Any] = []
            skip = False
            for i, (kind, given, value) in enumerate(zip(kinds, signature.args, values, strict=True)):
                if skip:
                    skip = False
                elif kind == "array":
                    data = context.make_array(given)(context, builder, value).data
                    ready.append(builder.gep(data, [values[i + 1]], inbounds=True))
                    skip = True
                elif kind == FLOATS and given != FLOATS:
                    ready.append(splat(builder, context.cast(builder, value, given, types.float32), FLOATS.llvm))
                else:
                    ready.append(value)
            out = emit(builder, *ready)
            return context.get_dummy_value() if out is None else out

        def typed(typingctx: Any, *given: Any) -> Any:
            wanted = []
            for kind, one in zip(kinds, given, strict=True):
                free = kind == "array" or (kind == FLOATS and isinstance(one, types.Number))
                wanted.append(one if free else kind)
            return result(*wanted), codegen

        typed.__name__ = emit.__name__
        typed.__doc__ = emit.__doc__
        names = ["typingctx", *(f"argument{i}" for i in range(len(kinds)))]
        typed.__signature__ = Signature([Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in names])  # type: ignore[attr-defined]
        return intrinsic(typed)

    return wrap


def splat(builder: Any, value: Any, llvm: Any) -> Any:
    """All lanes equal to a scalar."""
    nothing = ir.Constant(llvm, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(I32, llvm.count), [0] * llvm.count))


def constant(llvm: Any, value: float) -> Any:
    """All lanes equal to a number known now."""
    return ir.Constant(llvm, [value] * llvm.count)


def call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    """A call of the LLVM intrinsic `name`."""
    kind = ir.FunctionType(result, [v.type for v in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)


def lanes_below(builder: Any, count: Any) -> Any:
    """<16 x i1>: is the lane's number below `count` (i64)?"""
    limit = splat(builder, builder.trunc(count, I32), WORDS.llvm)
    return builder.icmp_signed("<", ir.Constant(WORDS.llvm, list(range(LANES))), limit)


def load_lanes(builder: Any, pointer: Any, mask: Any = None) -> Any:
    """Sixteen float32 from `pointer`; 0 in lanes where the mask is off, which are not read."""
    llvm = FLOATS.llvm
    where = builder.bitcast(pointer, llvm.as_pointer())
    if mask is None:
        return builder.load(where, align=4)
    return call(builder, "llvm.masked.load.v16f32.p0", llvm, where, ir.Constant(I32, 4), mask, constant(llvm, 0.0))


def store_lanes(builder: Any, pointer: Any, value: Any, mask: Any = None) -> None:
    """Sixteen float32 to `pointer`; lanes where the mask is off stay as they are."""
    where = builder.bitcast(pointer, FLOATS.llvm.as_pointer())
    if mask is None:
        builder.store(value, where, align=4)
    else:
        call(builder, "llvm.masked.store.v16f32.p0", ir.VoidType(), value, where, ir.Constant(I32, 4), mask)


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """The product of a and b, plus c, in one rounding where the machine can."""
    return call(builder, "llvm.fmuladd.v16f32", FLOATS.llvm, a, b, c)
