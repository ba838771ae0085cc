// Products of MXFP4 rows with activations that are whole numbers: what `turbo` computes an expert with that few tokens
// chose, and `fast` every expert where the processor has products of bytes and no tiles. An activation is a whole
// number of 15 bits times its token's scale, as beside weights in 8 bits (int8.h); a token with a value that is not
// finite gives NaN.
//
// There are kernels for processors that look 64 bytes up at once (AVX512_VBMI) and have products of bytes and of words
// (AVX512_VNNI).
//
// Order of additions, for one token as for many: the products with a block of 32 columns are summed exactly; times the
// block's scale they are added, with a rounding each, to the sum of every sixteenth block, from the first on; and the
// 16 sums as `sum` of simd.h adds the lanes of a register, where block b's is lane 4 (b % 4) + b / 4 % 4. Coarse
// products, times the scale of the block's activations, too, are added with a rounding each to one sum, block after
// block.
//
// Weights under scale byte 0 count as 0. Sums are twice the products in units of the token's scale, so that they leave
// float32's range before the result does: the largest of one block under byte 233, those of 90 blocks, 20b's row, under
// 226. From there on a sum may be infinite or no number.

#ifndef OSSIA_WHOLE_KERNELS_H_
#define OSSIA_WHOLE_KERNELS_H_

#include <stdint.h>

#include "matrix.h"

namespace ossia {

// The most tokens of an expert that have 15 bits at `turbo`. On a Xeon with matrix tiles, one thread, weights from
// memory, one token's products take 0.59 of the time that tiles take, two tokens' 0.8, three tokens' 0.97 and four
// tokens' 1.14. Without tiles, where more tokens have 8 bits: on a Xeon rows of 15 bits take 0.85 of the time of panels
// of 8 for two tokens and 1.0 for three; on a Zen 4 two threads take as long either way for two, and 1.4 times as long
// for three.
constexpr int64_t kFewTokens = 2;

// The rows of a matrix are a multiple of this.
constexpr int64_t kWholeRows = 16;

// Blocks of a row whose sums fill a register.
constexpr int64_t kSums = 16;

// Where the sum of a block b lies in a register: 0, 4, 8, 12, 1, 5, ... are the blocks of its lanes.
constexpr int64_t lane_of(int64_t b) { return b % 4 * 4 + b % kSums / 4; }

#if defined(OSSIA_X86)
namespace whole {

// The bytes of a row of activations, packed, and of each token of a run: a multiple of 64.
int64_t bytes(int64_t columns);

// x [C] as one row: its scale, which has a cache line to itself, and its whole numbers in 16 bits. C is a multiple of
// 32, and the memory aligned to 64.
void pack(const float* x, int64_t columns, void* row);

// Some packed rows as a run [tokens * bytes], which is what meets a matrix. `coarse` rounds those of more than few
// tokens once more, to whole numbers of 8 bits times a scale for each block.
void arrange(const void* const* rows, int64_t tokens, int64_t columns, bool coarse, void* run);

// As `products` of product_kernels.h, for an MXFP4 matrix and a run that was arranged with the same
// `coarse`. `rows` is a multiple of kWholeRows.
void products(const Matrix& matrix, int64_t first, int64_t rows, const void* run, int64_t tokens, bool coarse, float* y,
              int64_t stride);

}  // namespace whole
#endif

}  // namespace ossia

#endif  // OSSIA_WHOLE_KERNELS_H_
