// Weights in 8 bits times many tokens, where the processor has products of words and no tiles.

#ifndef OSSIA_INT8_GROUP_KERNELS_H_
#define OSSIA_INT8_GROUP_KERNELS_H_

#include "int8.h"
#include "token_groups.h"

namespace ossia {

// The fewest tokens that are taken as groups.
constexpr int64_t kFewestGrouped = 3;

// The bytes of a token in its group.
inline int64_t int8_group_bytes(const Int8Shape& shape) {
  return shape.chunks() * (2 * kInt8Chunk + static_cast<int64_t>(sizeof(int32_t)));
}

#if defined(OSSIA_X86)
namespace groups {

// Group `group` of the tokens, to groups.begin(group) * int8_group_bytes from `to` on. The tokens are as int8_pack of
// avx512bf16 leaves them; `coarse` rounds them further, each chunk to 8 bits with a scale of its own.
void int8_arrange(const Int8Tokens& tokens, const Int8Shape& shape, int64_t group, bool coarse, char* to);

// As int8_products for all groups from `from` on, with the same bits where they are not `coarse`.
void int8_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens, const char* from,
                   bool coarse, float* y, int64_t stride);

}  // namespace groups
#endif

}  // namespace ossia

#endif  // OSSIA_INT8_GROUP_KERNELS_H_
