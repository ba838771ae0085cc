// Products with a matrix in 8 bits.

#ifndef OSSIA_INT8_LINEAR_H_
#define OSSIA_INT8_LINEAR_H_

#include "context.h"
#include "ossia.h"

namespace ossia {

// ossia_linear with a weight in OSSIA_INT8, its arguments known to be sound.
int32_t int8_linear(ossia_context& context, const float* x, int64_t tokens, const ossia_weight& weight,
                    const ossia_low_rank* terms, const int32_t* adapters, int32_t precision, float* y);

// ossia_linear_rows, in the same way.
int32_t int8_linear_rows(ossia_context& context, const float* x, int64_t tokens, const ossia_weight& weight,
                         const uint32_t* wanted, int32_t precision, float* y);

}  // namespace ossia

#endif  // OSSIA_INT8_LINEAR_H_
