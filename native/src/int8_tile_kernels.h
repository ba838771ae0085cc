// Products of int8.h on a processor's matrix tiles (Intel AMX), for as many tokens as fill them.

#ifndef OSSIA_INT8_TILE_KERNELS_H_
#define OSSIA_INT8_TILE_KERNELS_H_

#include "int8.h"

namespace ossia::tiles {

// As `int8_products` of int8_kernels.h with the activations of avx512bf16, and the same bits: sums are whole numbers.
void int8_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens, float* y,
                   int64_t stride);

}  // namespace ossia::tiles

#endif  // OSSIA_INT8_TILE_KERNELS_H_
