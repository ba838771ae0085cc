#include "product_kernels.h"

#include "operands.h"

namespace ossia::OSSIA_ISA {
namespace {

#if defined(OSSIA_HAS_WORDS)
using FastActivation = WordActivation;
using FastChunk = Words;
constexpr bool kFastWords = true;
#else
using FastActivation = WideActivation;
using FastChunk = Pair;
constexpr bool kFastWords = false;
#endif

// Rows and tokens whose sums are kept in registers at once. A tile needs one accumulator of F32 for each row and token
// beside its operands: 24 + 4 + 1 of AVX-512's 32 registers with bfloat16 words, 8 + 4 of AVX2's 16. At one token,
// eight rows keep eight sums going, which is what two units with a latency of four need.
#if defined(OSSIA_ISA_avx512) || defined(OSSIA_ISA_avx512bf16)
constexpr int kRows = 4, kTokens = 6, kRowsAtOneToken = 8;
#else
constexpr int kRows = 2, kTokens = 2, kRowsAtOneToken = 4;
#endif
// From this many tokens on, MXFP4 rows are decoded once into the panel: the decoding, once for each tile of tokens,
// would cost more than storing it.
constexpr int64_t kTokensForPanel = 5;

// Sums of R rows and M tokens.
template <class Chunk, int R, int M>
struct Sums {
  F32 of[R][M];

  OSSIA_INLINE Sums() {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) of[r][m] = zero();
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

// R rows times M tokens. `kFromMemory`: the rows are not in a cache yet.
template <class Chunk, int R, int M, bool kFromMemory, class Rows, class Activation>
OSSIA_INLINE void tile(const Rows& rows, const Activation* x, int64_t columns, float* y, int64_t stride) {
  Sums<Chunk, R, M> sums;
  Chunk w[R];
  const int64_t chunks = columns / kBlock;
  [[maybe_unused]] const int64_t tail = columns % kBlock;
  for (int64_t c = 0; c < chunks; ++c) {
    if constexpr (kFromMemory) rows.template prefetch_ahead<R>(c);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) rows.read(r, c, w[r]);
    sums.add(w, x, c);
  }
  if constexpr (Rows::kHasTail) {
    if (tail > 0) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) rows.read_tail(r, chunks, tail, w[r]);
      sums.add(w, x, chunks);
    }
  }
  sums.store_to(y, stride);
}

// `tile` for a number of tokens from 1 to M.
template <class Chunk, int R, int M, bool kFromMemory, class Rows, class Activation>
OSSIA_INLINE void tile_of(int64_t tokens, const Rows& rows, const Activation* x, int64_t columns, float* y,
                          int64_t stride) {
  if (tokens == M) return tile<Chunk, R, M, kFromMemory>(rows, x, columns, y, stride);
  if constexpr (M > 1) tile_of<Chunk, R, M - 1, kFromMemory>(tokens, rows, x, columns, y, stride);
}

// All rows times 1 to kTokens tokens.
template <class Chunk, bool kFromMemory, class Rows, class Activation>
void few_tokens(const Rows& rows, int64_t count, const Activation* x, int64_t tokens, int64_t columns, float* y,
                int64_t stride) {
  int64_t r = 0;
  if (tokens == 1) {
    for (; r + kRowsAtOneToken <= count; r += kRowsAtOneToken) {
      tile<Chunk, kRowsAtOneToken, 1, kFromMemory>(rows.from(r), x, columns, y + r, stride);
    }
  }
  for (; r + kRows <= count; r += kRows) {
    tile_of<Chunk, kRows, kTokens, kFromMemory>(tokens, rows.from(r), x, columns, y + r, stride);
  }
  for (; r < count; ++r) {
    for (int64_t t = 0; t < tokens; ++t) {
      tile<Chunk, 1, 1, false>(rows.from(r), x + t, columns, y + t * stride + r, stride);
    }
  }
}

template <class Chunk, class Activation, bool kFromMemory, class Rows>
void all_tokens(const Rows& rows, int64_t count, const void* const* x, int64_t tokens, int64_t columns, float* y,
                int64_t stride) {
  for (int64_t t = 0; t < tokens; t += kTokens) {
    const int64_t some = tokens - t < kTokens ? tokens - t : kTokens;
    Activation packed[kTokens];
    for (int64_t i = 0; i < some; ++i) packed[i].set(x[t + i]);
    if (t == 0) {
      few_tokens<Chunk, kFromMemory>(rows, count, packed, some, columns, y, stride);
    } else {
      few_tokens<Chunk, false>(rows, count, packed, some, columns, y + t * stride, stride);
    }
  }
}

void decode_panel(const Mxfp4Rows& rows, int64_t count, uint16_t* panel) {
  for (int64_t r = 0; r < count; ++r) {
    const Mxfp4Rows row = rows.from(r);
    for (int64_t c = 0; c < rows.row_blocks; ++c) {
      row.prefetch_ahead<4>(c / 4);
      row.read_words(0, c, panel + (r * rows.row_blocks + c) * kBlock);
    }
  }
}

template <class Chunk, class Activation>
void products_as(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens, float* y,
                 int64_t stride, uint16_t* panel) {
  const int64_t columns = matrix.columns;
  if (matrix.dtype == OSSIA_F32) {
    const DenseRows<float> all{static_cast<const float*>(matrix.values), columns};
    return all_tokens<Pair, Activation, true>(all.from(first), rows, x, tokens, columns, y, stride);
  }
  if (matrix.dtype == OSSIA_BF16) {
    const DenseRows<uint16_t> all{static_cast<const uint16_t*>(matrix.values), columns};
    return all_tokens<Chunk, Activation, true>(all.from(first), rows, x, tokens, columns, y, stride);
  }
  const Mxfp4Rows all{static_cast<const uint8_t*>(matrix.values), matrix.scales, columns / kBlock};
  if (tokens < kTokensForPanel || panel == nullptr) {
    return all_tokens<Chunk, Activation, true>(all.from(first), rows, x, tokens, columns, y, stride);
  }
  decode_panel(all.from(first), rows, panel);
  const DenseRows<uint16_t> decoded{panel, columns};
  all_tokens<Chunk, Activation, false>(decoded, rows, x, tokens, columns, y, stride);
}

// One chunk of n <= 32 columns, zeros after them.
template <bool kFast>
OSSIA_INLINE void pack_chunk(const float* x, int64_t n, char* packed) {
  float padded[kBlock] = {};
  if (n < kBlock) {
    memcpy(padded, x, static_cast<size_t>(n) * sizeof(float));
    x = padded;
  }
  Pair chunk;
  if constexpr (kFast) {
    uint16_t words[kBlock];
    round_bf16(words, load(x));
    round_bf16(words + kLanes, load(x + kLanes));
    if constexpr (kFastWords) {
      memcpy(packed, words, sizeof(words));
      return;
    }
    load_pairs(words, chunk.even, chunk.odd);
  } else {
    load_pairs(x, chunk.even, chunk.odd);
  }
  store(reinterpret_cast<float*>(packed), chunk.even);
  store(reinterpret_cast<float*>(packed) + kLanes, chunk.odd);
}

template <bool kFast>
void pack_row(const float* x, int64_t columns, char* packed) {
  for (int64_t k = 0; k < columns; k += kBlock) {
    pack_chunk<kFast>(x + k, columns - k < kBlock ? columns - k : kBlock, packed + packed_bytes(k, kFast));
  }
}

}  // namespace

int64_t packed_bytes(int64_t columns, bool fast) {
  const int64_t whole = (columns + kBlock - 1) / kBlock * kBlock;
  return whole * static_cast<int64_t>(fast && kFastWords ? sizeof(uint16_t) : sizeof(float));
}

void pack(const float* x, int64_t columns, bool fast, void* packed) {
  if (fast) {
    pack_row<true>(x, columns, static_cast<char*>(packed));
  } else {
    pack_row<false>(x, columns, static_cast<char*>(packed));
  }
}

void products(const Matrix& matrix, int64_t first, int64_t rows, bool fast, const void* const* x, int64_t tokens,
              float* y, int64_t stride, uint16_t* panel) {
  if (fast) {
    products_as<FastChunk, FastActivation>(matrix, first, rows, x, tokens, y, stride, panel);
  } else {
    products_as<Pair, WideActivation>(matrix, first, rows, x, tokens, y, stride, panel);
  }
}

void add_scaled(float* y, const float* x, float factor, int64_t count) {
  const F32 factors = broadcast(factor);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, fma(load(x + i), factors, load(y + i)));
  const int tail = static_cast<int>(count - i);
  if (tail > 0) store_tail(y + i, fma(load_tail(x + i, tail), factors, load_tail(y + i, tail)), tail);
}

void widen_row(const uint16_t* x, int64_t count, float* y) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, widen(x + i));
  const int tail = static_cast<int>(count - i);
  if (tail > 0) store_tail(y + i, widen_tail(x + i, tail), tail);
}

}  // namespace ossia::OSSIA_ISA
