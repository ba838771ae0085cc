// Attention: what is asked is checked, cut into work for the threads, and computed by the kernels.

#include "attend.h"

#include <algorithm>

#include "context.h"

namespace ossia {
namespace {

// Tokens whose keys and values one chunk writes.
constexpr int64_t kWritten = 16;

// Query rows that go over a cut together, so that its keys and values are read from memory once for all of them.
constexpr int64_t kTileRows = 64;

// A tile with more than this part of a thread's share of the work is cut by position too.
constexpr int64_t kPieces = 8;

// Scores that one thread has computed, with what follows from them, before another would be awake.
constexpr int64_t kFewScores = 1 << 12;

// Positions of keys that lie side by side.
constexpr int64_t kCacheLanes = 16;

constexpr int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

// Bytes of a key or value; 0 for a type that no cache has.
int64_t element_bytes(const ossia_cache& cache) {
  switch (cache.dtype) {
    case OSSIA_F32:
      return 4;
    case OSSIA_BF16:
      return 2;
    case OSSIA_INT8:
      return 1;
    default:
      return 0;
  }
}

bool is_plausible(const ossia_cache& cache) {
  const int64_t widest = cache.dtype == OSSIA_INT8 ? kWidestInt8 : kWidest;
  return element_bytes(cache) > 0 && cache.page_size > 0 && cache.page_size <= 1 << 20 && cache.heads > 0 &&
         cache.heads <= 1 << 20 && cache.width > 0 && cache.width <= widest && cache.width % 2 == 0 &&
         cache.pages >= 0 && cache.pages * cache.page_size < INT32_MAX;
}

KeyValues layout(const ossia_cache& cache) {
  constexpr int64_t kWord = 4;
  const int64_t element = element_bytes(cache), groups = divide_up(cache.page_size, kCacheLanes);
  KeyValues layout;
  layout.data = static_cast<char*>(cache.data);
  layout.page_size = static_cast<int>(cache.page_size);
  layout.heads = static_cast<int>(cache.heads);
  layout.width = static_cast<int>(cache.width);
  layout.padded = static_cast<int>(round_up(cache.width, 2 * kCacheLanes));
  layout.groups = static_cast<int>(groups);
  layout.words = static_cast<int>(divide_up(cache.page_size * element, kWord));
  layout.value_bytes = groups * divide_up(cache.width * element, kWord) * kCacheLanes * kWord;
  layout.scale_bytes = layout.value_bytes + layout.padded * layout.words * kWord;
  layout.head_bytes = layout.scale_bytes + (cache.dtype == OSSIA_INT8 ? 2 * groups * kCacheLanes * kWord : 0);
  layout.page_bytes = layout.head_bytes * cache.heads;
  layout.dtype = cache.dtype;
  return layout;
}

// One call's arguments with what follows from them.
struct Attention {
  const ossia_step& step;
  const KeyValues cache;
  const float* q;
  const float* sinks;
  const int64_t heads;   // H
  const int64_t group;   // query heads of one key/value head
  const int64_t window;  // 0: none
  float* y;

  int32_t position(int64_t row) const { return step.positions[row]; }
  int32_t first_visible(int64_t row) const {
    return window == 0 ? 0 : static_cast<int32_t>(std::max<int64_t>(0, position(row) - window + 1));
  }
};

// Some tokens of one request under one key/value head, with the cuts that they see. Its cuts are computed one after
// another, or, where that would keep one thread busy while others wait, each for itself.
struct Tile {
  int64_t request;
  int64_t head;
  int64_t first, end;  // rows of the step
  int32_t first_cut, cuts;
  int64_t parts;  // where the states of its cuts begin, or -1
};

struct Piece {
  int64_t tile;
  int32_t cut;
};

// Whether every visible key of a request has a page, and its tokens are neighbours.
bool is_sound(const Attention& work, int64_t request, int64_t pages) {
  const int64_t first = work.step.starts[request], end = work.step.starts[request + 1];
  if (first == end) return true;
  const int64_t start = work.position(first), last = start + end - first - 1;
  if (start < 0 || last >= INT32_MAX - kCut) return false;
  if (last / work.cache.page_size >= work.step.pages_per_request) return false;
  for (int64_t row = first; row < end; ++row) {
    if (work.position(row) != start + row - first) return false;
  }
  for (int64_t page = work.first_visible(first) / work.cache.page_size; page <= last / work.cache.page_size; ++page) {
    const int32_t entry = work.step.table[request * work.step.pages_per_request + page];
    if (entry < 0 || entry >= pages) return false;
  }
  return true;
}

bool is_sound(const Attention& work, int64_t pages) {
  const ossia_step& step = work.step;
  if (step.starts[0] != 0 || step.starts[step.requests] > step.tokens) return false;
  for (int64_t request = 0; request < step.requests; ++request) {
    if (step.starts[request + 1] < step.starts[request] || !is_sound(work, request, pages)) return false;
  }
  return std::all_of(step.slots, step.slots + step.tokens,
                     [&](int32_t slot) { return slot >= -1 && slot < pages * work.cache.page_size; });
}

bool sees(const QueryRows& rows, int32_t cut) {
  const int64_t origin = int64_t{cut} * kCut;
  return rows.first[0] < origin + kCut && rows.end[rows.count - 1] > origin;
}

// The work of one call, divided among threads.
class Plan {
 public:
  Plan(const Attention& work, const Kernels& kernels, int threads)
      : work_(work),
        kernels_(kernels),
        threads_(threads),
        own_states_(1 + divide_up(std::max(kTileRows, work.group), kRows)) {
    each_tile([&](const Tile& tile) {
      all_cuts_ += tile.cuts;
      scores_ +=
          (tile.end - tile.first) * work_.group * (work_.position(tile.end - 1) + 1 - work_.first_visible(tile.first));
    });
    each_tile([&](const Tile& tile) {
      ++tiles_count_;
      pieces_count_ += is_divided(tile) ? tile.cuts : 1;
      parts_count_ += is_divided(tile) ? tile.cuts * states(tile) : 0;
    });
  }

  // False when there is no memory.
  bool prepare(Scratch& scratch) {
    const int64_t floats = state_size(work_.cache.padded);
    if (!scratch.reserve(room<Tile>(tiles_count_) + room<Piece>(pieces_count_) +
                         room<float>((parts_count_ + own_states_ * threads_) * floats))) {
      return false;
    }
    tiles_ = scratch.take<Tile>(tiles_count_);
    pieces_ = scratch.take<Piece>(pieces_count_);
    memory_ = scratch.take<float>((parts_count_ + own_states_ * threads_) * floats);
    fill();
    return true;
  }

  // The deepest tiles come last in a step, and are begun first, so that the threads end together.
  void run(Pool& pool) const {
    const auto piece = [&](int64_t chunk, int thread) { compute(pieces_count_ - 1 - chunk, thread); };
    if (scores_ <= kFewScores) {
      for (int64_t chunk = 0; chunk < pieces_count_; ++chunk) piece(chunk, 0);
    } else {
      pool.run(pieces_count_, piece);
    }
    if (parts_count_ == 0) return;
    pool.run(tiles_count_, [&](int64_t chunk, int thread) {
      if (tiles_[chunk].parts >= 0) join(tiles_[chunk], thread);
    });
  }

 private:
  template <class F>
  void each_tile(F body) const {
    const int64_t step = std::max<int64_t>(1, kTileRows / work_.group);
    for (int64_t request = 0; request < work_.step.requests; ++request) {
      const int64_t last = work_.step.starts[request + 1];
      for (int64_t first = work_.step.starts[request]; first < last; first += step) {
        const int64_t end = std::min(first + step, last);
        const int32_t first_cut = work_.first_visible(first) / kCut;
        const int32_t cuts = work_.position(end - 1) / kCut - first_cut + 1;
        for (int64_t head = 0; head < work_.cache.heads; ++head) {
          body(Tile{request, head, first, end, first_cut, cuts, -1});
        }
      }
    }
  }

  bool is_divided(const Tile& tile) const {
    return threads_ > 1 && scores_ > kFewScores && tile.cuts > 1 && tile.cuts * kPieces * threads_ > all_cuts_;
  }

  // How many states the rows of a tile take.
  int64_t states(const Tile& tile) const { return divide_up((tile.end - tile.first) * work_.group, kRows); }

  void fill() {
    int64_t tiles = 0, pieces = 0, parts = 0;
    each_tile([&](Tile tile) {
      const bool divided = is_divided(tile);
      if (divided) tile.parts = parts;
      parts += divided ? tile.cuts * states(tile) : 0;
      for (int32_t cut = 0; cut < (divided ? tile.cuts : 1); ++cut) pieces_[pieces++] = {tiles, tile.first_cut + cut};
      tiles_[tiles++] = tile;
    });
  }

  void compute(int64_t number, int thread) const {
    const Piece& piece = pieces_[number];
    const Tile& tile = tiles_[piece.tile];
    // Threads take pieces in turns, so that this is likely the next of this one.
    if (number >= threads_) ask(pieces_[number - threads_]);
    if (tile.parts < 0) {
      walk(tile, piece.tile, thread);
    } else {
      each_rows(tile, [&](const QueryRows& rows, int64_t index) {
        if (sees(rows, piece.cut)) weigh(tile, rows, piece.cut, part(tile, piece.cut, index));
      });
    }
  }

  // Asks for the first keys of a piece.
  void ask(const Piece& piece) const {
    const Tile& tile = tiles_[piece.tile];
    const int32_t first = std::max(piece.cut * kCut, work_.first_visible(tile.first));
    const int32_t end = std::min(first + kAsked, work_.position(tile.end - 1) + 1);
    kernels_.attend_ask(work_.cache, static_cast<int>(tile.head), table(tile), first, end);
  }

  // All cuts of a tile, each for all its rows before the next, which its keys and values would have to come back for.
  void walk(const Tile& tile, int64_t number, int thread) const {
    const auto state = [&](int64_t index) { return own(thread, 1 + index / kRows); };
    each_rows(tile, [&](const QueryRows& rows, int64_t index) { begin(tile, rows, index, state(index)); });
    const int32_t end = tile.first_cut + tile.cuts;
    for (int32_t cut = tile.first_cut; cut < end; ++cut) {
      if (cut + 1 < end) ask({number, cut + 1});
      each_rows(tile, [&](const QueryRows& rows, int64_t index) {
        if (sees(rows, cut)) fold(state(index), weigh(tile, rows, cut, own(thread, 0)), rows);
      });
    }
    each_rows(tile, [&](const QueryRows& rows, int64_t index) { finish(rows, state(index)); });
  }

  // What became of a tile's cuts, each for itself, put together.
  void join(const Tile& tile, int thread) const {
    State* state = own(thread, 0);
    each_rows(tile, [&](const QueryRows& rows, int64_t index) {
      begin(tile, rows, index, state);
      for (int32_t cut = tile.first_cut; cut < tile.first_cut + tile.cuts; ++cut) {
        if (sees(rows, cut)) fold(state, part(tile, cut, index), rows);
      }
      finish(rows, state);
    });
  }

  // Calls body(rows, index) for kRows rows at a time: row `index` is query head index % group of token index / group.
  template <class F>
  void each_rows(const Tile& tile, F body) const {
    const int64_t all = (tile.end - tile.first) * work_.group;
    for (int64_t index = 0; index < all; index += kRows) {
      QueryRows rows;
      rows.count = static_cast<int>(std::min<int64_t>(kRows, all - index));
      for (int i = 0; i < rows.count; ++i) {
        const int64_t token = tile.first + (index + i) / work_.group;
        rows.q[i] = work_.q + (token * work_.heads + query_head(tile, index + i)) * work_.cache.width;
        rows.first[i] = work_.first_visible(token);
        rows.end[i] = work_.position(token) + 1;
      }
      body(rows, index);
    }
  }

  int64_t query_head(const Tile& tile, int64_t row) const { return tile.head * work_.group + row % work_.group; }

  const int32_t* table(const Tile& tile) const {
    return work_.step.table + tile.request * work_.step.pages_per_request;
  }

  State* weigh(const Tile& tile, const QueryRows& rows, int32_t cut, State* state) const {
    kernels_.attend_cut(work_.cache, static_cast<int>(tile.head), table(tile), cut, rows, state);
    return state;
  }

  // The rows' sinks, before any cut.
  void begin(const Tile& tile, const QueryRows& rows, int64_t index, State* state) const {
    const int padded = work_.cache.padded;
    for (int i = 0; i < rows.count; ++i) {
      state->largest[i] = work_.sinks[query_head(tile, index + i)];
      state->sum[i] = 1.f;
      std::fill_n(mixed_of(state, i, padded), padded, 0.f);
    }
  }
  void fold(State* state, State* part, const QueryRows& rows) const {
    kernels_.attend_fold(state, part, rows.count, work_.cache.padded);
  }
  void finish(const QueryRows& rows, State* state) const {
    for (int i = 0; i < rows.count; ++i) {
      kernels_.attend_finish(state, i, work_.cache.width, work_.cache.padded, work_.y + (rows.q[i] - work_.q));
    }
  }

  State* state(int64_t number) const {
    return reinterpret_cast<State*>(memory_ + number * state_size(work_.cache.padded));
  }
  State* own(int thread, int64_t which) const { return state(own_states_ * thread + which); }
  State* part(const Tile& tile, int32_t cut, int64_t index) const {
    return state(own_states_ * threads_ + tile.parts + (cut - tile.first_cut) * states(tile) + index / kRows);
  }

  const Attention& work_;
  const Kernels& kernels_;
  const int threads_;
  const int64_t own_states_;  // of each thread: that of a cut, and those of a tile's rows
  int64_t all_cuts_ = 0, scores_ = 0, tiles_count_ = 0, pieces_count_ = 0, parts_count_ = 0;
  Tile* tiles_ = nullptr;
  Piece* pieces_ = nullptr;
  float* memory_ = nullptr;
};

}  // namespace
}  // namespace ossia

int64_t ossia_page_bytes(const ossia_cache* cache) {
  return cache != nullptr && ossia::is_plausible(*cache) ? ossia::layout(*cache).page_bytes : 0;
}

int32_t ossia_attend(ossia_context* context, const float* q, const float* k, const float* v, const float* sinks,
                     int64_t heads, const ossia_cache* cache, const ossia_step* step, int64_t window, float* y) {
  if (cache == nullptr || step == nullptr || !ossia::is_plausible(*cache) || heads <= 0 || heads % cache->heads != 0 ||
      window < 0 || step->requests < 0) {
    return OSSIA_BAD_ARGUMENT;
  }
  const ossia::Call call(context);
  const ossia::Attention work{*step, ossia::layout(*cache), q, sinks, heads, heads / cache->heads, window, y};
  if (!ossia::is_sound(work, cache->pages)) return OSSIA_BAD_INDEX;
  ossia::Plan plan(work, context->kernels, context->pool.threads());
  if (!plan.prepare(context->scratch)) return OSSIA_OUT_OF_MEMORY;
  context->pool.run(ossia::divide_up(step->tokens, ossia::kWritten), [&](int64_t chunk, int) {
    const int64_t first = chunk * ossia::kWritten;
    context->kernels.attend_write(work.cache, k, v, step->slots, first,
                                  std::min(first + ossia::kWritten, step->tokens));
  });
  plan.run(context->pool);
  const int64_t size = heads * cache->width, done = step->starts[step->requests];
  std::fill(y + done * size, y + step->tokens * size, 0.f);
  return OSSIA_OK;
}
