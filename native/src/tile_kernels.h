// Products of bfloat16 on a processor's matrix tiles (Intel AMX).

#ifndef OSSIA_TILE_KERNELS_H_
#define OSSIA_TILE_KERNELS_H_

#include <stdint.h>

#include "matrix.h"

namespace ossia {

// Tokens whose activations a tile holds side by side.
constexpr int64_t kGroupTokens = 16;

namespace tiles {

// The packed rows of 1 to 16 tokens [tokens, C], in bfloat16, as one group: for each 32 columns, for each pair of
// columns, the pair of each token. C is rounded up to whole chunks of 32 columns, which packed rows are anyway. Pairs
// are of neighbouring columns, for a dense matrix; `scattered`, for MXFP4, takes the columns of a chunk as 0, 4, ...,
// 28, then 1, 5, ..., 29, then 2, 6, ... and 3, 7, ..., because that is how blocks come apart quickest.
void interleave(const void* const* rows, int64_t tokens, int64_t columns, bool scattered, void* group);

// As `products` of product_kernels.h for OSSIA_FAST, a BF16 or MXFP4 matrix, and groups instead of rows: x[g] holds the
// tokens 16 g up to 16 g + 15.
//
// Order of additions: for each 32 columns, c = 0, 1, ..., in the order of its pairs, the first products of the
// pairs are summed with fused multiply-adds, from 0, and the second apart from them; the two sums are added, and their
// sum is added to what the columns before gave. Subnormal numbers count as 0. It is the order of the instruction
// itself, for one token as for many. Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2,
// TDPBF16PS.
void products(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens, float* y,
              int64_t stride);

}  // namespace tiles
}  // namespace ossia

#endif  // OSSIA_TILE_KERNELS_H_
