// Compiled with the flags of avx512bf16 and AMX's own. A panel's chunk is a tile as it lies, four columns of 16 rows in
// each of its lines; eight tokens are another, the two planes of each one after the other.

#include "int8_tile_kernels.h"

#include "int8_kernels.h"
#include "int8_sums.h"
#include "tile_setup.h"

namespace ossia::tiles {
namespace {

using namespace OSSIA_ISA;

// Tokens of a tile, and of a block: two tiles of tokens meet two panels, with four tiles of sums.
constexpr int64_t kTileTokens = kTileRows / 2, kBlockTokens = 2 * kTileTokens;

// Below this many tokens, tiles would be mostly empty.
constexpr int64_t kFewTokens = 3;

// Tokens of one pass over the panels: their activations stay in the second cache from panel to panel.
constexpr int64_t kPassTokens = 128;

// Tile registers, which instructions take as constants: 2 i + j holds the sums of tokens i and panel j, 4 + i the
// tokens, 6 + j the panel's chunk.
void configure(int64_t tokens, Setup& setup) {
  for (int64_t i = 0; i < 2; ++i) {
    const int64_t left = tokens - i * kTileTokens;
    const int64_t lines = 2 * (left < 1 ? 1 : left < kTileTokens ? left : kTileTokens);
    setup.set(4 + i, lines, kTileWidth);
    setup.set(6 + i, kTileRows, kTileWidth);
    for (int64_t j = 0; j < 2; ++j) setup.set(2 * i + j, lines, kTileWidth);
  }
  setup.load();
}

// Chunks whose sums are taken into float32 together, so that a value is loaded and stored once for all of them.
constexpr int kTogether = 4;

// The sums of one chunk, [2][2] tiles.
struct alignas(64) ChunkSums {
  int32_t tile[2][2][kTileRows * kPanelRows];
};

// What a chunk's products need: where its tokens and its panels begin, and how far apart their lines and they are.
struct Chunk {
  const char* x;
  int64_t line;
  const char* w;
  int64_t panel;
};

// The sums of a chunk, in tiles; those of the chunk before go to `before`. Each just when its tile is needed again, so
// that nothing waits for a product that has only begun: 16 tokens in 0.90 of the time.
template <bool kTwoTokens, bool kTwoPanels>
void multiply(const Chunk& chunk, const Lookahead& ahead, ChunkSums* before) {
  ahead.ask(chunk.w);
  if constexpr (kTwoPanels) ahead.ask(chunk.w + chunk.panel);
  _tile_loadd(4, chunk.x, chunk.line);
  _tile_loadd(6, chunk.w, kTileWidth);
  if (before != nullptr) _tile_stored(0, before->tile[0][0], kTileWidth);
  _tile_zero(0);
  _tile_dpbsud(0, 4, 6);
  if constexpr (kTwoPanels) {
    _tile_loadd(7, chunk.w + chunk.panel, kTileWidth);
    if (before != nullptr) _tile_stored(1, before->tile[0][1], kTileWidth);
    _tile_zero(1);
    _tile_dpbsud(1, 4, 7);
  }
  if constexpr (kTwoTokens) {
    _tile_loadd(5, chunk.x + kTileRows * chunk.line, chunk.line);
    if (before != nullptr) _tile_stored(2, before->tile[1][0], kTileWidth);
    _tile_zero(2);
    _tile_dpbsud(2, 5, 6);
    if constexpr (kTwoPanels) {
      if (before != nullptr) _tile_stored(3, before->tile[1][1], kTileWidth);
      _tile_zero(3);
      _tile_dpbsud(3, 5, 7);
    }
  }
}

void multiply(bool two_tokens, bool two_panels, const Chunk& chunk, const Lookahead& ahead, ChunkSums* before) {
  if (two_tokens && two_panels) return multiply<true, true>(chunk, ahead, before);
  if (two_tokens) return multiply<true, false>(chunk, ahead, before);
  if (two_panels) return multiply<false, true>(chunk, ahead, before);
  return multiply<false, false>(chunk, ahead, before);
}

void keep(bool two_tokens, bool two_panels, ChunkSums& sums) {
  _tile_stored(0, sums.tile[0][0], kTileWidth);
  if (two_panels) _tile_stored(1, sums.tile[0][1], kTileWidth);
  if (two_tokens) _tile_stored(2, sums.tile[1][0], kTileWidth);
  if (two_tokens && two_panels) _tile_stored(3, sums.tile[1][1], kTileWidth);
}

// One or two panels times up to 16 tokens from token `first` on.
class Block {
 public:
  Block(const char* panels, int64_t panel_count, const Int8Shape& shape, const Int8Tokens& tokens, int64_t first,
        int64_t count)
      : panels_(panels), two_panels_(panel_count > 1), shape_(shape), tokens_(tokens), first_(first), count_(count) {}

  // While the tiles work on some chunks, the sums of those before are taken into float32.
  void run(int64_t rows, const Lookahead& ahead, float* y, int64_t stride) {
    const bool two_tokens = count_ > kTileTokens;
    const int64_t chunks = shape_.chunks();
    for (int64_t t = 0; t < count_; ++t) store(values_[t][0], zero()), store(values_[t][1], zero());
    ChunkSums sums[kTogether];
    for (int64_t c = 0; c < chunks; ++c) {
      multiply(two_tokens, two_panels_, chunk(c), ahead, c == 0 ? nullptr : sums + (c - 1) % kTogether);
      if (c > 0 && c % kTogether == 0) add(c - kTogether, sums);
    }
    keep(two_tokens, two_panels_, sums[(chunks - 1) % kTogether]);
    add((chunks - 1) / kTogether * kTogether, sums);
    for (int64_t t = 0; t < count_; ++t) finish(t, rows, y + (first_ + t) * stride);
  }

 private:
  Chunk chunk(int64_t c) const {
    return {tokens_.integers + first_ * shape_.token_bytes() + c * kInt8Chunk, shape_.token_bytes() / 2,
            panels_ + shape_.scale_bytes() + c * kInt8ChunkBytes, shape_.panel_bytes()};
  }

  // The sums of chunks `c` up to `c` + kTogether, where there are so many, of all tokens.
  void add(int64_t c, const ChunkSums* sums) {
    settle();
    const int64_t some = shape_.chunks() - c;
    for (int64_t j = 0; j < (two_panels_ ? 2 : 1); ++j) {
      if (some >= kTogether) {
        add<kTogether>(c, j, sums);
      } else {
        for (int64_t i = 0; i < some; ++i) add<1>(c + i, j, sums + i);
      }
    }
    settle();
  }

  template <int kSome>
  void add(int64_t c, int64_t j, const ChunkSums* sums) {
    const uint16_t* words = reinterpret_cast<const uint16_t*>(panels_ + j * shape_.panel_bytes()) + c * kPanelRows;
    F32 scales[kSome];
#pragma GCC unroll 4
    for (int i = 0; i < kSome; ++i) scales[i] = widen(words + i * kPanelRows);
    const int32_t* offsets = tokens_.offsets + first_ * shape_.chunks() + c;
    for (int64_t t = 0; t < count_; ++t, offsets += shape_.chunks()) {
      F32 value = load(values_[t][j]);
#pragma GCC unroll 4
      for (int i = 0; i < kSome; ++i) {
        const int32_t* lines = sums[i].tile[t / kTileTokens][j] + t % kTileTokens * 2 * kPanelRows;
        const Int8Sums both{_mm512_load_si512(lines), _mm512_load_si512(lines + kPanelRows)};
        value = OSSIA_ISA::add(value, mul(both.without(offsets[i]), scales[i]));
      }
      store(values_[t][j], value);
    }
  }

  void finish(int64_t t, int64_t rows, float* y) const {
    const F32 scale = broadcast(tokens_.scales[first_ + t]);
    for (int64_t j = 0; j < (two_panels_ ? 2 : 1); ++j) {
      const int64_t left = rows - j * kPanelRows;
      store_tail_or_all(y + j * kPanelRows, mul(load(values_[t][j]), scale), left);
    }
  }

  static void store_tail_or_all(float* y, F32 value, int64_t count) {
    if (count >= kPanelRows) return store(y, value);
    store_tail(y, value, static_cast<int>(count));
  }

  const char* panels_;
  const bool two_panels_;
  const Int8Shape& shape_;
  const Int8Tokens& tokens_;
  const int64_t first_, count_;
  alignas(64) float values_[kBlockTokens][2][kPanelRows];
};

void pass(const Int8Panels& panels, const Int8Shape& shape, int64_t rows, const Int8Tokens& tokens, int64_t begin,
          int64_t end, float* y, int64_t stride) {
  const Lookahead soon{panels.panels + panels.count * shape.panel_bytes(), panels.next}, nothing;
  int64_t configured = 0;
  for (int64_t p = 0; p < panels.count; p += 2) {
    const char* panel = panels.panels + p * shape.panel_bytes();
    for (int64_t t = begin; t < end; t += kBlockTokens) {
      const int64_t count = least(kBlockTokens, end - t);
      Setup setup;
      if (count != configured) configure(count, setup);
      configured = count;
      Block(panel, panels.count - p, shape, tokens, t, count)
          .run(rows - p * kPanelRows, t == 0 ? soon : nothing, y + p * kPanelRows, stride);
    }
  }
}

}  // namespace

void int8_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens, float* y,
                   int64_t stride) {
  if (tokens.count < kFewTokens) return OSSIA_ISA::int8_products(panels, columns, rows, tokens, y, stride);
  const Int8Shape shape{columns};
  for (int64_t t = 0; t < tokens.count; t += kPassTokens) {
    const int64_t end = least(t + kPassTokens, tokens.count);
    pass(panels, shape, rows, tokens, t, end, y, stride);
  }
  _tile_release();
}

}  // namespace ossia::tiles
