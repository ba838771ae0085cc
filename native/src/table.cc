// The table of one instruction set; compiled once for each.

#include "bandwidth_kernels.h"
#include "expert_kernels.h"
#include "kernels.h"
#include "product_kernels.h"

#define OSSIA_TEXT_OF(name) #name
#define OSSIA_TEXT(name) OSSIA_TEXT_OF(name)

namespace ossia::OSSIA_ISA {

extern const Kernels kTable = {
    OSSIA_TEXT(OSSIA_ISA), sum_bytes, packed_bytes, pack, products, add_scaled, widen_row, swiglu,
};

}  // namespace ossia::OSSIA_ISA
