// Products of a matrix's rows with packed activations, in the order of additions that ossia.h states.

#ifndef OSSIA_PRODUCT_KERNELS_H_
#define OSSIA_PRODUCT_KERNELS_H_

#include <stdint.h>

#include "matrix.h"

namespace ossia::OSSIA_ISA {

// Bytes of one packed activation row [C], a multiple of 64.
int64_t packed_bytes(int64_t columns, bool fast);

// [C] float32 -> a packed row; `fast` rounds to bfloat16. A part of a row may be packed alone if it starts at a
// multiple of 32: column k of it then lies packed_bytes(k) from the row's start.
void pack(const float* x, int64_t columns, bool fast, void* packed);

// y[t * stride + r] = row `first` + r of the matrix times x[t], for r < rows and t < tokens. The x are packed rows of C
// columns, packed with the same `fast`.
void products(const Matrix& matrix, int64_t first, int64_t rows, bool fast, const void* const* x, int64_t tokens,
              float* y, int64_t stride);

// y[i] = x[i] * factor + y[i], rounded once.
void add_scaled(float* y, const float* x, float factor, int64_t count);

// [N] bfloat16 -> [N] float32.
void widen_row(const uint16_t* x, int64_t count, float* y);

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_PRODUCT_KERNELS_H_
