#include "product_kernels.h"

#include "operands.h"
#include "tiles.h"

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

// What a tile reads should stay in the first cache while its activations are used again; 32 KB is the smallest in use.
constexpr int64_t kFirstCache = 32 * 1024;

// Rows whose sums wait in memory between two spans of columns.
constexpr int64_t kRowsInWaiting = 32;

// The rows that fill no tile, one at a time.
template <class Chunk, class Rows, class Activation>
void last_rows(const Rows& rows, int64_t count, const Activation* x, int64_t tokens, const Span& all, float* y,
               int64_t stride) {
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t t = 0; t < tokens; ++t) {
      tile<Chunk, 1, 1, true>(rows.from(r), rows.from(r + 1), x + t, all, nullptr, y + t * stride + r, stride);
    }
  }
}

// All rows, still in memory, times 1 to kTokens tokens; `next` are those that come after them.
template <class Chunk, class Rows, class Activation>
void rows_from_memory(const Rows& rows, const Rows& next, int64_t count, const Activation* x, int64_t tokens,
                      int64_t columns, float* y, int64_t stride) {
  const Span all{0, columns / kBlock, columns % kBlock, true};
  const auto after = [&](int64_t r) { return r < count ? rows.from(r) : next; };
  int64_t r = 0;
  if (tokens == 1) {
    for (; r + kRowsAtOneToken <= count; r += kRowsAtOneToken) {
      tile<Chunk, kRowsAtOneToken, 1, true>(rows.from(r), after(r + kRowsAtOneToken), x, all, nullptr, y + r, stride);
    }
  }
  for (; r + kRows <= count; r += kRows) {
    tile_of<Chunk, kRows, kTokens, true>(tokens, rows.from(r), after(r + kRows), x, all, nullptr, y + r, stride);
  }
  last_rows<Chunk>(rows.from(r), count - r, x, tokens, all, y + r, stride);
}

// The same for rows that lie in the second cache by now, span of columns by span: over all columns, the activations of
// six tokens would not stay in the first cache from one tile to the next.
template <class Chunk, class Rows, class Activation>
void rows_from_cache(const Rows& rows, int64_t count, const Activation* x, int64_t tokens, int64_t columns, float* y,
                     int64_t stride) {
  const int64_t chunks = columns / kBlock, tail = columns % kBlock;
  const int64_t chunk_bytes = kRows * Rows::kChunkBytes + tokens * Activation::kChunkBytes;
  const int64_t spans = chunks * chunk_bytes / kFirstCache + 1, step = chunks / spans + 1;
  const int64_t whole = count / kRows * kRows;
  F32 waiting[kRowsInWaiting / kRows][kRows * kTokens];
  for (int64_t begin = 0; begin < whole; begin += kRowsInWaiting) {
    const int64_t end = begin + kRowsInWaiting < whole ? begin + kRowsInWaiting : whole;
    Span span{0, 0, tail, false};
    for (int64_t c = 0; !span.last; c += step) {
      const bool last = c + step >= chunks;
      span = {c, last ? chunks : c + step, tail, last};
      for (int64_t r = begin; r < end; r += kRows) {
        tile_of<Chunk, kRows, kTokens, false>(tokens, rows.from(r), rows, x, span, waiting[(r - begin) / kRows], y + r,
                                              stride);
      }
    }
  }
  last_rows<Chunk>(rows.from(whole), count - whole, x, tokens, {0, chunks, tail, true}, y + whole, stride);
}

template <class Chunk, class Activation, class Rows>
void all_tokens(const Rows& rows, const Rows& next, int64_t count, const void* const* x, int64_t tokens,
                int64_t columns, float* y, int64_t stride) {
  // Tiles of equal width: eight tokens are better done as four and four than as six and two.
  const int64_t tiles = (tokens + kTokens - 1) / kTokens;
  int64_t t = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t some = (tokens - t + tiles - tile - 1) / (tiles - tile);
    Activation packed[kTokens];
    for (int64_t i = 0; i < some; ++i) packed[i].set(x[t + i]);
    if (t == 0) {
      rows_from_memory<Chunk>(rows, next, count, packed, some, columns, y, stride);
    } else {
      rows_from_cache<Chunk>(rows, count, packed, some, columns, y + t * stride, stride);
    }
    t += some;
  }
}

template <class Chunk, class Activation>
void products_as(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens, float* y,
                 int64_t stride) {
  const int64_t columns = matrix.columns;
  if (matrix.dtype == OSSIA_F32) {
    const DenseRows<float> all{static_cast<const float*>(matrix.values), columns};
    const DenseRows<float> next{static_cast<const float*>(matrix.next), columns};
    return all_tokens<Pair, Activation>(all.from(first), next, rows, x, tokens, columns, y, stride);
  }
  if (matrix.dtype == OSSIA_BF16) {
    const DenseRows<uint16_t> all{static_cast<const uint16_t*>(matrix.values), columns};
    const DenseRows<uint16_t> next{static_cast<const uint16_t*>(matrix.next), columns};
    return all_tokens<Chunk, Activation>(all.from(first), next, rows, x, tokens, columns, y, stride);
  }
  const Mxfp4Rows all{static_cast<const uint8_t*>(matrix.values), matrix.scales, columns / kBlock};
  const Mxfp4Rows next{static_cast<const uint8_t*>(matrix.next), matrix.next_scales, columns / kBlock};
  all_tokens<Chunk, Activation>(all.from(first), next, rows, x, tokens, columns, y, stride);
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
              float* y, int64_t stride) {
  if (fast) {
    products_as<FastChunk, FastActivation>(matrix, first, rows, x, tokens, y, stride);
  } else {
    products_as<Pair, WideActivation>(matrix, first, rows, x, tokens, y, stride);
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
