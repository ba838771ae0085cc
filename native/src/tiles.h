// Products of a few rows with a few tokens, their sums kept in registers.

#ifndef OSSIA_TILES_H_
#define OSSIA_TILES_H_

#include "operands.h"

namespace ossia::OSSIA_ISA {

// Rows and tokens whose sums are kept in registers at once. A tile needs one accumulator of F32 for each row and token
// beside its operands. With AVX-512 that is 24 + 4 + 1 of 32 registers. With AVX2, where F32 is two of 16, it is 8 + 4
// + 2, and one row for four tokens is better than two for two, because decoding a row is what costs. With NEON, where
// F32 is four of 32, one row for three tokens is 12 + 8 + 8. At one token, eight rows (AVX2: four, of two registers;
// NEON: two, of four) keep eight sums going, which is what two units with a latency of four need.
#if defined(OSSIA_ISA_avx512) || defined(OSSIA_ISA_avx512bf16)
constexpr int kRows = 4, kTokens = 6, kRowsAtOneToken = 8;
#elif defined(OSSIA_ISA_neon) || defined(OSSIA_ISA_dotprod)
constexpr int kRows = 1, kTokens = 3, kRowsAtOneToken = 2;
#else
constexpr int kRows = 1, kTokens = 4, kRowsAtOneToken = 4;
#endif

// The chunks of 32 columns that a tile goes through; after the last come `tail` columns that fill no chunk.
struct Span {
  int64_t begin, end, tail;
  bool last;
};

// Sums of R rows and M tokens. Every loop over them must be unrolled: an array indexed by a loop's variable lies in
// memory.
template <class Chunk, int R, int M>
struct Sums {
  F32 of[R][M];

  OSSIA_INLINE void clear() {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) of[r][m] = zero();
    }
  }

  OSSIA_INLINE void take_from(const F32* waiting) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) of[r][m] = waiting[r * M + m];
    }
  }

  OSSIA_INLINE void leave_at(F32* waiting) const {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) waiting[r * M + m] = of[r][m];
    }
  }

  // Adds chunk c of the activations times the weights' chunk w.
  template <class Activation>
  OSSIA_INLINE void add(const Chunk (&w)[R], const Activation* x, int64_t c) {
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      Chunk xm;
      x[m].read(c, xm);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) of[r][m] = add_products(of[r][m], w[r], xm);
    }
  }

  OSSIA_INLINE void store_to(float* y, int64_t stride) const {
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      if constexpr (R % 4 == 0) {
#pragma GCC unroll 8
        for (int r = 0; r < R; r += 4) {
          store_sums(y + m * stride + r, of[r][m], of[r + 1][m], of[r + 2][m], of[r + 3][m]);
        }
      } else {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) y[m * stride + r] = sum(of[r][m]);
      }
    }
  }
};

// R rows times M tokens over one span of columns. Between the first span and the last, the sums wait in `waiting`
// [R * M]. With `kFromMemory` the span is all there is, and the rows `next` are asked for meanwhile.
template <class Chunk, int R, int M, bool kFromMemory, class Rows, class Activation>
OSSIA_INLINE void tile(const Rows& rows, [[maybe_unused]] const Rows& next, const Activation* x, const Span& span,
                       [[maybe_unused]] F32* waiting, float* y, int64_t stride) {
  Sums<Chunk, R, M> sums;
  sums.clear();
  if constexpr (!kFromMemory) {
    if (span.begin > 0) sums.take_from(waiting);
  }
  Chunk w[R];
  for (int64_t c = span.begin; c < span.end; ++c) {
    if constexpr (kFromMemory) next.template ask_for<R>(c);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) rows.read(r, c, w[r]);
    sums.add(w, x, c);
  }
  if constexpr (!kFromMemory) {
    if (!span.last) return sums.leave_at(waiting);
  }
  if constexpr (Rows::kHasTail) {
    if (span.tail > 0) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) rows.read_tail(r, span.end, span.tail, w[r]);
      sums.add(w, x, span.end);
    }
  }
  sums.store_to(y, stride);
}

// `tile` for a number of tokens from 1 to M.
template <class Chunk, int R, int M, bool kFromMemory, class Rows, class Activation>
OSSIA_INLINE void tile_of(int64_t tokens, const Rows& rows, const Rows& next, const Activation* x, const Span& span,
                          F32* waiting, float* y, int64_t stride) {
  if (tokens == M) return tile<Chunk, R, M, kFromMemory>(rows, next, x, span, waiting, y, stride);
  if constexpr (M > 1) tile_of<Chunk, R, M - 1, kFromMemory>(tokens, rows, next, x, span, waiting, y, stride);
}

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_TILES_H_
