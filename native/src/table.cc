// The table of one instruction set; compiled once for each.

#include "bandwidth_kernels.h"
#include "expert_kernels.h"
#include "int4_kernels.h"
#include "int8_kernels.h"
#include "kernels.h"
#include "product_kernels.h"
#include "rowwise.h"

#define OSSIA_TEXT_OF(name) #name
#define OSSIA_TEXT(name) OSSIA_TEXT_OF(name)

namespace ossia::OSSIA_ISA {

extern const Kernels kTable = {
    OSSIA_TEXT(OSSIA_ISA),
    sum_bytes,
    packed_bytes,
    pack,
    products,
    nullptr,
    nullptr,
    add_scaled,
    widen_row,
    int8_round,
    int8_pack,
    int8_products,
    int4_products,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    swiglu,
    attend_write,
    attend_cut,
    attend_ask,
    attend_fold,
    attend_finish,
    rms_norm,
    rope,
    choose_experts,
    sample_best,
    sample_reaching,
    sample_largest,
    sample_classes,
    sample_members,
    sample_log_sum,
    sample_weight,
};

}  // namespace ossia::OSSIA_ISA
