// Attention over bfloat16 by products of pairs, for processors that begin as many of those as of multiply-adds. On a
// Zen 4, out of the second cache, eight rows take 0.56 of the time of multiply-adds of float32; from memory, with two
// threads, 0.8, as what is read holds them up.

#ifndef OSSIA_ATTEND_PAIR_KERNELS_H_
#define OSSIA_ATTEND_PAIR_KERNELS_H_

#include "attend.h"

namespace ossia::pairs {

// As attend_cut of attend.h. Beside keys and values in bfloat16, queries and the weights of values are rounded to
// bfloat16, and subnormal numbers count as 0. Of two neighbours, e of a score or positions of values, the second is
// added first, with a rounding each.
void attend_cut(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                State* state);

}  // namespace ossia::pairs

#endif  // OSSIA_ATTEND_PAIR_KERNELS_H_
