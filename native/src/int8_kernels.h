// What int8.h describes, for one instruction set.

#ifndef OSSIA_INT8_KERNELS_H_
#define OSSIA_INT8_KERNELS_H_

#include "int8.h"
#include "matrix.h"

namespace ossia::OSSIA_ISA {

// Rows `first` up to `first` + `rows`, at most 16, of an F32 or BF16 matrix as a panel. With the largest magnitude m of
// a chunk, the scale is m / 127 rounded up to bfloat16, and a weight the nearest integer to w * (1 / scale), ties to
// even; a scale is NaN where a value is not finite.
void int8_round(const Matrix& matrix, int64_t first, int64_t rows, char* panel);

// One token's x [C]: its integers, offsets [S] and scale. With the largest magnitude m, a value is the nearest integer
// to x * (16256 / m), ties to even, and the scale m / 16256.
void int8_pack(const float* x, int64_t columns, char* integers, int32_t* offsets, float* scale);

// y[t * stride + r] = row r of the panels times token t, for r < rows, where the last panel may have fewer than 16.
void int8_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens, float* y,
                   int64_t stride);

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_INT8_KERNELS_H_
