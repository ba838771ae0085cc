// Compiled with the flags of avx512bf16 and AMX's own. Sixteen keys as they lie are a tile, and so are 16 e of the
// values at 16 positions; the query heads that share them are the rows of the other.

#include "attend_tile_kernels.h"

#include "attend_int8.h"
#include "tile_setup.h"

namespace ossia::tiles {
namespace {

using namespace OSSIA_ISA;

// Lines of a tile that a row takes: its upper and its lower bits. And e of a tile of keys.
constexpr int kParts = 2, kChunk = 32;

// Tile registers, which instructions take as constants: 0 to 3 hold sums.
constexpr int kSums = 4;

// Positions of a group are `kLanes`, and so is what a tile of values has of e.
constexpr int64_t kGroupWords = kLanes / 2;

// Instructions on the sums of tile I, written out because they take the number as it stands in the source.
template <int I>
OSSIA_INLINE void store_sums(void* to, int64_t stride) {
  if constexpr (I == 0) _tile_stored(0, to, stride);
  if constexpr (I == 1) _tile_stored(1, to, stride);
  if constexpr (I == 2) _tile_stored(2, to, stride);
  if constexpr (I == 3) _tile_stored(3, to, stride);
}
// Adds whole numbers: those of tile 4 times 5, of queries and keys, or of 6 times 7, of weights and values.
template <int I>
OSSIA_INLINE void add_keys() {
  if constexpr (I == 0) _tile_dpbsud(0, 4, 5);
  if constexpr (I == 1) _tile_dpbsud(1, 4, 5);
  if constexpr (I == 2) _tile_dpbsud(2, 4, 5);
  if constexpr (I == 3) _tile_dpbsud(3, 4, 5);
}
template <int I>
OSSIA_INLINE void add_values() {
  if constexpr (I == 0) _tile_dpbsud(0, 6, 7);
  if constexpr (I == 1) _tile_dpbsud(1, 6, 7);
  if constexpr (I == 2) _tile_dpbsud(2, 6, 7);
  if constexpr (I == 3) _tile_dpbsud(3, 6, 7);
}
// Adds products of bfloat16, those of tile 4, queries or weights, times 5, keys or values.
template <int I>
OSSIA_INLINE void add_products() {
  if constexpr (I == 0) _tile_dpbf16ps(0, 4, 5);
  if constexpr (I == 1) _tile_dpbf16ps(1, 4, 5);
  if constexpr (I == 2) _tile_dpbf16ps(2, 4, 5);
  if constexpr (I == 3) _tile_dpbf16ps(3, 4, 5);
}
OSSIA_INLINE void clear_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// Products of whole numbers, for int8_cut.
class Int8Products {
 public:
  explicit Int8Products(int rows) {
    Setup setup;
    for (int i = 0; i < kSums; ++i) setup.set(i, 2 * rows, kTileWidth);
    setup.set(4, 2 * rows, kTileWidth);    // queries
    setup.set(5, kTileRows, kTileWidth);   // keys
    setup.set(6, 2 * rows, kLanes);        // weights of 16 positions
    setup.set(7, kLanes / 4, kTileWidth);  // values
    setup.load();
  }
  ~Int8Products() { _tile_release(); }

  OSSIA_INLINE void score(const Int8Operand& query, const Quartet<uint8_t>& keys, int lines, float* const* to) {
    settle();
    clear_sums();
    score_group<0>(query, keys, lines);
    score_group<1>(query, keys, lines);
    score_group<2>(query, keys, lines);
    score_group<3>(query, keys, lines);
    settle();
    for (int row = 0; row < query.count; ++row) {
      for (int i = keys.first; i < keys.end; ++i) store(to[row] + i * kLanes, sum(i, query, row));
    }
  }

  OSSIA_INLINE void mix(const Int8Operand& weights, const Quartet<uint8_t>& values, int blocks, State* state,
                        int padded) {
    settle();
    for (int block = 0; block < blocks; block += kSums) {
      clear_sums();
      for (int i = values.first; i < values.end; ++i) {
        _tile_loadd(6, weights.row(0) + i * kLanes, weights.shape.token_bytes() / 2);
        mix_group<0>(values, i, block);
        mix_group<1>(values, i, block);
        mix_group<2>(values, i, block);
        mix_group<3>(values, i, block);
      }
      keep<0>();
      keep<1>();
      keep<2>();
      keep<3>();
      settle();
      for (int row = 0; row < weights.count; ++row) {
        float* mixed = mixed_of(state, row, padded) + block * kLanes;
        for (int i = 0; i < kSums; ++i, mixed += kLanes) {
          store(mixed, add(load(mixed), mul(sum(i, weights, row), broadcast(weights.scales[row]))));
        }
      }
    }
  }

 private:
  template <int I>
  OSSIA_INLINE void score_group(const Int8Operand& query, const Quartet<uint8_t>& keys, int lines) {
    if (I < keys.first || I >= keys.end) return;
    for (int line = 0; line < lines; line += kTileRows) {
      const int64_t at = line * kLineBytes;
      for (int i = 0; i < kTileRows; ++i) prefetch_far(keys.ahead[I] + at + i * kLineBytes);
      _tile_loadd(4, query.row(0) + line * 4, query.shape.token_bytes() / 2);
      _tile_loadd(5, keys.at[I] + at, kTileWidth);
      add_keys<I>();
    }
    keep<I>();
  }

  template <int I>
  OSSIA_INLINE void mix_group(const Quartet<uint8_t>& values, int group, int block) {
    const int64_t at = (block + I) * values.line[group];
    for (int line = 0; line < 4; ++line) prefetch_far(values.ahead[group] + at + line * kLineBytes);
    _tile_loadd(7, values.at[group] + at, kTileWidth);
    add_values<I>();
  }

  template <int I>
  OSSIA_INLINE void keep() {
    store_sums<I>(sums_[I], kTileWidth);
  }

  OSSIA_INLINE F32 sum(int i, const Int8Operand& operand, int row) const {
    const int32_t* lines = sums_[i] + row * 2 * kLanes;
    const Int8Sums both{_mm512_load_si512(lines), _mm512_load_si512(lines + kLanes)};
    return both.without(operand.offsets[row]);
  }

  alignas(64) int32_t sums_[kSums][kTileRows * kLanes];
};

// Rows of float32 [count, C], each number as the sum of two of bfloat16, for tiles.
template <int64_t kMost>
struct Parts {
  alignas(64) uint16_t numbers[kRows][kParts][kMost];

  OSSIA_INLINE void set(int row, int64_t column, F32 values) {
    const __m256bh upper = _mm512_cvtneps_pbh(values.v);
    memcpy(numbers[row][0] + column, &upper, sizeof(upper));
    const F32 rest = sub(values, widen(numbers[row][0] + column));
    const __m256bh lower = _mm512_cvtneps_pbh(rest.v);
    memcpy(numbers[row][1] + column, &lower, sizeof(lower));
  }
  // Of as many columns as tile 4 is configured for.
  OSSIA_INLINE void load_tile(int64_t column) const { _tile_loadd(4, numbers[0][0] + column, kMost * 2); }
};

// One cut of keys and values in bfloat16.
class Bf16Cut : CutWork<uint16_t> {
 public:
  using CutWork::CutWork;

  void run() {
    configure(kTileWidth, kTileRows);
    score();
    weigh_rows(rows_, origin_, span_, scores_, state_);
    configure(kLanes * 2, kGroupWords);
    mix();
    _tile_release();
  }

 private:
  // Tile 4 holds `bytes` of each row's parts, and 5 so many lines of keys or values.
  void configure(int64_t bytes, int64_t lines) const {
    Setup setup;
    for (int i = 0; i < kSums; ++i) setup.set(i, kParts * rows_.count, kTileWidth);
    setup.set(4, kParts * rows_.count, bytes);
    setup.set(5, lines, kTileWidth);
    setup.load();
  }

  void score() {
    Parts<kWidest> query;
    for (int row = 0; row < rows_.count; ++row) {
      for (int e = 0; e < cache_.width; e += kLanes) query.set(row, e, load(rows_.q[row] + e));
    }
    const F32 factor = broadcast(1.f / __builtin_sqrtf(static_cast<float>(cache_.width)));
    for (int block = pages_.first_block(); block < pages_.end_block(); ++block) {
      const Quartet<uint16_t> keys = pages_.keys(block);
      settle();
      score_quartet(query, keys);
      settle();
      for (int row = 0; row < rows_.count; ++row) {
        float* at = scores_.at(row, block * kValueBlock);
        for (int i = keys.first; i < keys.end; ++i) store(at + i * kLanes, mul(sum(i, row), factor));
      }
    }
  }

  OSSIA_INLINE void score_quartet(const Parts<kWidest>& query, const Quartet<uint16_t>& keys) {
    clear_sums();
    for (int e = 0; e < cache_.width; e += kChunk) {
      query.load_tile(e);
      score_group<0>(keys, e);
      score_group<1>(keys, e);
      score_group<2>(keys, e);
      score_group<3>(keys, e);
    }
    keep_sums();
  }

  void keep_sums() {
    store_sums<0>(sums_[0], kTileWidth);
    store_sums<1>(sums_[1], kTileWidth);
    store_sums<2>(sums_[2], kTileWidth);
    store_sums<3>(sums_[3], kTileWidth);
  }
  // Of one row, both parts together.
  OSSIA_INLINE F32 sum(int i, int row) const {
    const float* lines = sums_[i] + row * kParts * kLanes;
    return add(load(lines), load(lines + kLanes));
  }

  template <int I>
  OSSIA_INLINE void score_group(const Quartet<uint16_t>& keys, int e) {
    if (I < keys.first || I >= keys.end) return;
    for (int line = 0; line < kTileRows; ++line) prefetch_far(keys.ahead[I] + (e + line * 2) * kLanes);
    _tile_loadd(5, keys.at[I] + e * kLanes, kTileWidth);
    add_products<I>();
  }

  void mix() {
    for (int row = 0; row < rows_.count; ++row) {
      for (int i = span_.begin_of_group(); i < span_.end_of_group(); i += kLanes) {
        weights_.set(row, i, load(scores_.at(row, i)));
      }
    }
    settle();
    const int blocks = cache_.padded / kLanes;
    for (int block = 0; block < blocks; block += kSums) {
      if (blocks - block >= kSums) {
        mix_blocks<kSums>(block);
      } else {
        mix_blocks<kSums / 2>(block);
      }
    }
  }

  // The sums of COUNT times 16 e.
  template <int COUNT>
  void mix_blocks(int block) {
    clear_sums();
    for (int quartet = pages_.first_block(); quartet < pages_.end_block(); ++quartet) {
      const Quartet<uint16_t> values = pages_.values(quartet, true);
      settle();
      for (int i = values.first; i < values.end; ++i) {
        const int64_t position = quartet * kValueBlock + i * kLanes;
        weights_.load_tile(position);
        mix_group<0, COUNT>(values, i, block);
        mix_group<1, COUNT>(values, i, block);
        mix_group<2, COUNT>(values, i, block);
        mix_group<3, COUNT>(values, i, block);
      }
    }
    keep_sums();
    settle();
    for (int row = 0; row < rows_.count; ++row) {
      float* mixed = mixed_of(state_, row, cache_.padded) + block * kLanes;
      for (int i = 0; i < COUNT; ++i) store(mixed + i * kLanes, sum(i, row));
    }
  }

  template <int I, int COUNT>
  OSSIA_INLINE void mix_group(const Quartet<uint16_t>& values, int group, int block) {
    if constexpr (I < COUNT) {
      const char* at = reinterpret_cast<const char*>(values.at[group]) + (block + I) * values.line[group];
      const char* ahead = reinterpret_cast<const char*>(values.ahead[group]) + (block + I) * values.line[group];
      for (int line = 0; line < kGroupWords; ++line) prefetch_far(ahead + line * kLineBytes);
      _tile_loadd(5, at, kTileWidth);
      add_products<I>();
    }
  }

  Parts<kCut> weights_;
  alignas(64) float sums_[kSums][kTileRows * kLanes];
};

}  // namespace

void attend_cut(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                State* state) {
  if (cache.dtype == OSSIA_BF16 && cache.width % kChunk == 0) {
    return Bf16Cut(cache, head, table, cut, rows, state).run();
  }
  if (cache.dtype == OSSIA_INT8 && cache.width % kTileWidth == 0) {
    return int8_cut<Int8Products>(cache, head, table, cut, rows, state);
  }
  OSSIA_ISA::attend_cut(cache, head, table, cut, rows, state);
}

}  // namespace ossia::tiles
