// Products of MXFP4 rows with activations that are whole numbers: what `exact` computes every expert with, `turbo`
// those that few tokens chose, and `fast` all where the processor has products of bytes and no tiles. At `fast` an
// activation is a whole number of 15 bits times its token's scale, as beside weights in 8 bits (int8.h); at `exact` one
// of 23 bits times its block's, so that a product loses about what adding up float32 does. A token with a value that is
// not finite gives NaN.
//
// There are kernels for processors that look 64 bytes up at once (AVX512_VBMI) and have products of bytes and of words
// (AVX512_VNNI).
//
// Order of additions, for one token as for many: the products with a block of 32 columns are summed exactly and turned
// into a float32, which rounds what has more than 24 bits; times the
// block's scale they are added, with a rounding each, to the sum of every sixteenth block, from the first on; and the
// 16 sums as `sum` of simd.h adds the lanes of a register, where block b's is lane 4 (b % 4) + b / 4 % 4. Fine products
// are multiplied by the scale of the block's activations before, with a rounding. Coarse products, times that scale,
// too, are added with a rounding each to one sum, block after block.
//
// Weights under scale byte 0 count as 0, and so do numbers whose scale has none of 2^-100 or more. Fine sums meet the
// scale of the weights last, so that those of activations from 2^117 on may be infinite or no number. Sums of 15 and of
// 8 bits are twice the products in units of the token's scale, so that they leave float32's range before the result
// does: the largest of one block under byte 233, those of 90 blocks, 20b's row, under 226. From there on a sum may be
// infinite or no number.

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

// What activations are rounded to: 23 bits with a scale for each block; 15 with one for each token; or the same, and
// those of more than few tokens once more, to 8 bits with a scale for each block.
enum class Grain { kFine, kMiddle, kCoarse };

// The widest rows that have a fine product.
constexpr int64_t kMostFineColumns = 4096;

#if defined(OSSIA_X86)
namespace whole {

// The bytes of a row of activations, packed, and of each token of a run: a multiple of 64.
int64_t bytes(int64_t columns, Grain grain);

// x [C] as one row. C is a multiple of 32, and the memory aligned to 64.
void pack(const float* x, int64_t columns, Grain grain, void* row);

// Some packed rows as a run [tokens * bytes], which is what meets a matrix.
void arrange(const void* const* rows, int64_t tokens, int64_t columns, Grain grain, void* run);

// As `products` of product_kernels.h, for an MXFP4 matrix and a run of the same grain. `rows` is a multiple of
// kWholeRows.
void products(const Matrix& matrix, int64_t first, int64_t rows, const void* run, int64_t tokens, Grain grain, float* y,
              int64_t stride);

}  // namespace whole
#endif

}  // namespace ossia

#endif  // OSSIA_WHOLE_KERNELS_H_
