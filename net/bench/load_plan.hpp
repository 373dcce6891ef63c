#pragma once
/// What the clients of a load send: made and digested before the time begins. Private to net/bench.

#include "core/archive.hpp"
#include "core/payload.hpp"
#include "net/bench/load.hpp"

#include <memory>
#include <vector>

namespace cairn::bench {

/// Bytes of one sequence, digested.
struct sample {
  payload data;
  sequence_info info; ///< but for its number
};

/// What all clients of a load share: options and contents. Object n consists of sample n, n + 1, ... modulo
/// their number.
struct load_plan {
  load_options options;
  std::vector<sample> samples;
  std::vector<file_info> files; ///< of objects that begin with sample 0, 1, ...
};

/// @error invalid_message: the options do not fit together
result<std::shared_ptr<const load_plan>> make_plan(const load_options& options);

} // namespace cairn::bench
