// One matrix [N, C] of an ossia_weight, as kernels see it.

#ifndef OSSIA_MATRIX_H_
#define OSSIA_MATRIX_H_

#include <stdint.h>

#include "ossia.h"

namespace ossia {

// Values of an MXFP4 block, and its bytes.
constexpr int64_t kBlock = 32;
constexpr int64_t kBlockBytes = 16;

struct Matrix {
  const void* values;
  const uint8_t* scales;  // MXFP4 only
  int64_t columns;
  int32_t dtype;
  // The rows that this thread will come to after those of a call, as far as can be told, to be asked for in time.
  // nullptr: not known.
  const void* next = nullptr;
  const uint8_t* next_scales = nullptr;
};

// Bytes of a row's values, without scales.
constexpr int64_t row_bytes(int32_t dtype, int64_t columns) {
  return dtype == OSSIA_F32 ? columns * 4 : dtype == OSSIA_BF16 ? columns * 2 : columns / kBlock * kBlockBytes;
}

inline Matrix matrix_of(const ossia_weight& weight, int64_t expert) {
  const int64_t first_row = expert * weight.rows;
  const char* values = static_cast<const char*>(weight.values) + first_row * row_bytes(weight.dtype, weight.columns);
  const uint8_t* scales = weight.scales == nullptr ? nullptr : weight.scales + first_row * (weight.columns / kBlock);
  return {values, scales, weight.columns, weight.dtype};
}

// `matrix`, after whose rows come those of `then` from `first` on. As many columns and the same dtype are right.
inline Matrix followed_by(Matrix matrix, const Matrix& then, int64_t first) {
  matrix.next = static_cast<const char*>(then.values) + first * row_bytes(then.dtype, then.columns);
  matrix.next_scales = then.scales == nullptr ? nullptr : then.scales + first * (then.columns / kBlock);
  return matrix;
}

}  // namespace ossia

#endif  // OSSIA_MATRIX_H_
