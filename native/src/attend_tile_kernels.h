// Attention on a processor's matrix tiles (Intel AMX).

#ifndef OSSIA_ATTEND_TILE_KERNELS_H_
#define OSSIA_ATTEND_TILE_KERNELS_H_

#include "attend.h"

namespace ossia::tiles {

// As attend_cut of attend.h. Keys and values in 8 bits give the same bits as there; in float32, and in bfloat16 with a
// width that is no multiple of 32 (in 8 bits: of 64), it is that function itself.
//
// In bfloat16 a query's number and a weight are rounded to the sum of two of bfloat16, to 2^-17 of themselves. What the
// first of these add up to, and what the second do, is added last. Each adds 32 e of a key, or the values of 16
// positions, in ascending order, and within these in that of the instruction (tile_kernels.h): subnormal numbers count
// as 0.
void attend_cut(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                State* state);

}  // namespace ossia::tiles

#endif  // OSSIA_ATTEND_TILE_KERNELS_H_
