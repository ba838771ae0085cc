// Products of MXFP4 rows with activations that are whole numbers: what `turbo` computes an expert with that few tokens
// chose. An activation is a whole number of 15 bits times its token's scale, as beside weights in 8 bits (int8.h); a
// token with a value that is not finite gives NaN.

#ifndef OSSIA_WHOLE_KERNELS_H_
#define OSSIA_WHOLE_KERNELS_H_

#include <stdint.h>

#include "matrix.h"

namespace ossia {

// The most tokens of an expert. On a Xeon with matrix tiles, one thread, weights from memory, one token's products take
// 0.59 of the time that tiles take, two tokens' 0.8, three tokens' 0.97 and four tokens' 1.14.
constexpr int64_t kFewTokens = 2;

#if defined(OSSIA_ISA)
namespace OSSIA_ISA {

// The bytes of a token's activations, packed: a multiple of 64.
int64_t whole_bytes(int64_t columns);

// x [C] as `whole_products` takes it, C a multiple of 32. `packed` is aligned to 64.
void whole_pack(const float* x, int64_t columns, void* packed);

// As `products` of product_kernels.h, for an MXFP4 matrix. This is the form of any instruction set, in float32, where
// `fast` has no better one either.
void whole_products(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens, float* y,
                    int64_t stride);

}  // namespace OSSIA_ISA
#endif

#if defined(OSSIA_X86)
// The same where the processor looks 64 bytes up at once (AVX512_VBMI and VBMI2).
//
// Order of additions: lane i of a register has the products of 8 neighbouring columns of every 128, from 8 i on, summed
// exactly; times the scale of their block they are added from the first columns on, with a rounding each, and then the
// lanes as `sum` adds them. Weights under scale byte 0 count as 0; under 235 and more a sum may be infinite.
namespace vbmi {

int64_t whole_bytes(int64_t columns);
void whole_pack(const float* x, int64_t columns, void* packed);
void whole_products(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens, float* y,
                    int64_t stride);

}  // namespace vbmi
#endif

}  // namespace ossia

#endif  // OSSIA_WHOLE_KERNELS_H_
