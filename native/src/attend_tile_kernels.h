// Attention on a processor's matrix tiles (Intel AMX).

#ifndef OSSIA_ATTEND_TILE_KERNELS_H_
#define OSSIA_ATTEND_TILE_KERNELS_H_

#include "attend.h"

namespace ossia::tiles {

// As attend_cut of attend.h. Keys and values in 8 bits give the same bits as there; in float32, and in bfloat16 with a
// width that is no multiple of 32 (in 8 bits: of 64), it is that function itself.
//
// In bfloat16 a query's and a weight's 24 bits are three numbers of 8, so that nothing is rounded. A score adds for
// each 32 e, in ascending order, the products with the first numbers, then those with the second, then those with the
// third; the values of each 16 positions are added in ascending order, by the three parts of their weights likewise.
// Within one of these products the order is that of the instruction (tile_kernels.h).
void attend_cut(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                State* state);

}  // namespace ossia::tiles

#endif  // OSSIA_ATTEND_TILE_KERNELS_H_
