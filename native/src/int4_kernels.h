// Products with what int4.h describes, for one instruction set.

#ifndef OSSIA_INT4_KERNELS_H_
#define OSSIA_INT4_KERNELS_H_

#include "int4.h"

namespace ossia::OSSIA_ISA {

// As int8_products, of panels in 4 bits.
void int4_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int4Tokens& tokens,
                   const Int4Results& to);

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_INT4_KERNELS_H_
