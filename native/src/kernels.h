// The table through which the rest of the library calls the code compiled for one instruction set.

#ifndef OSSIA_KERNELS_H_
#define OSSIA_KERNELS_H_

#include <stdint.h>

#include "matrix.h"

namespace ossia {

// Kernels are plain functions over a range of the work: they know neither threads nor the C ABI, allocate nothing and
// cannot fail. Their shapes and order of additions stand in the headers named.
struct Kernels {
  const char* isa;

  // Weights and products: bandwidth_kernels.h, product_kernels.h, expert_kernels.h.
  uint64_t (*sum_bytes)(const void* data, int64_t bytes);
  int64_t (*packed_bytes)(int64_t columns, bool fast);
  void (*pack)(const float* x, int64_t columns, bool fast, void* packed);
  void (*products)(const Matrix& matrix, int64_t first, int64_t rows, bool fast, const void* const* x, int64_t tokens,
                   float* y, int64_t stride, uint16_t* panel);
  void (*add_scaled)(float* y, const float* x, float factor, int64_t count);
  void (*widen_row)(const uint16_t* x, int64_t count, float* y);
  void (*swiglu)(const float* h, int64_t count, float limit, float* a);
};

#if defined(OSSIA_ISA)
namespace OSSIA_ISA {
extern const Kernels kTable;
}
#endif

// The best set that this processor has, or the named one. nullptr if it has not, or there is none of that name.
const Kernels* choose_kernels(const char* isa);

}  // namespace ossia

#endif  // OSSIA_KERNELS_H_
