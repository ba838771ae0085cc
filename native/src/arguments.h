// What the C ABI looks at before it reads through a pointer.

#ifndef OSSIA_ARGUMENTS_H_
#define OSSIA_ARGUMENTS_H_

#include <cstdint>

#include "ossia.h"

namespace ossia {

// Whether `weight` is X matrices [N, C] of a known dtype with all their pointers.
bool is_weight(const ossia_weight* weight);

// Whether a weight's values are single numbers, in float32 or bfloat16.
inline bool is_float(const ossia_weight& weight) { return weight.dtype == OSSIA_F32 || weight.dtype == OSSIA_BF16; }

// Whether terms and adapters can stand beside a weight: nullptr terms always can.
bool is_low_rank(const ossia_low_rank* terms);

// Whether all of [count] indices are from `lowest` to `end` - 1.
bool within(const int32_t* indices, int64_t count, int32_t lowest, int64_t end);

inline bool is_precision(int32_t precision) { return precision >= OSSIA_EXACT && precision <= OSSIA_TURBO; }

}  // namespace ossia

#endif  // OSSIA_ARGUMENTS_H_
