#include "whole_kernels.h"

#include "int8_rounding.h"
#include "product_kernels.h"

namespace ossia::OSSIA_ISA {

int64_t whole_bytes(int64_t columns) { return packed_bytes(columns, false); }

void whole_pack(const float* x, int64_t columns, void* packed) {
  const Unit unit = unit_of(x, columns, kActivationLargest);
  for (int64_t c = 0; c < columns; c += kBlock) {
    int32_t integers[kBlock];
    float values[kBlock];
    to_integers(x + c, kBlock, unit.factor, integers);
    for (int64_t i = 0; i < kBlock; ++i) values[i] = static_cast<float>(integers[i]) * unit.scale;
    pack(values, kBlock, false, static_cast<char*>(packed) + packed_bytes(c, false));
  }
}

void whole_products(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens, float* y,
                    int64_t stride) {
  products(matrix, first, rows, false, x, tokens, y, stride);
}

}  // namespace ossia::OSSIA_ISA
