// The table through which the rest of the library calls the code compiled for one instruction set.

#ifndef OSSIA_KERNELS_H_
#define OSSIA_KERNELS_H_

#include <stdint.h>

namespace ossia {

// Kernels are plain functions over a range of the work: they know neither threads nor the C ABI, allocate nothing and
// cannot fail. Their shapes and order of additions stand in the headers named.
struct Kernels {
  const char* isa;

  // bandwidth.h: weights and products.
  uint64_t (*sum_bytes)(const void* data, int64_t bytes);
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
