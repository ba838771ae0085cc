#ifndef OSSIA_BANDWIDTH_KERNELS_H_
#define OSSIA_BANDWIDTH_KERNELS_H_

#include <stdint.h>

namespace ossia::OSSIA_ISA {

// The sum of `bytes` (a multiple of 64) at `data` as 64-bit words, wrapping.
uint64_t sum_bytes(const void* data, int64_t bytes);

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_BANDWIDTH_KERNELS_H_
