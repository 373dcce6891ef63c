#pragma once
/// Lists in messages that are read up to a limit: what a peer claims must not decide how much memory is taken
/// before validation sees it. Private to core/messages.hpp.

#include "core/archive.hpp"

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace cairn {

inline constexpr std::size_t max_purge_keys = 1'000;

namespace detail {

/// A list over its limit by no more than this factor is read to its end, and validation says what is wrong
/// with it; a longer one does not decode.
inline constexpr std::size_t readable_excess = 16;

/// Reads a list's length, then `length` times `read_one`.
template <class Inspector, class ReadOne>
typename Inspector::result_type read_list(Inspector& f, std::size_t limit, ReadOne read_one) {
  std::size_t length = 0;
  if (auto error = f.begin_sequence(length))
    return error;
  // Core has no error of the inspector's to give: the one of input that is read past its end will do.
  for (std::array<char, 4096> rest; length > readable_excess * limit;)
    if (auto error = f.apply_raw(rest.size(), rest.data()))
      return error;
  for (std::size_t i = 0; i < length; ++i)
    if (auto error = read_one())
      return error;
  return f.end_sequence();
}

/// A pair of a few bytes takes more than a hundred in memory, which nobody is charged for: one past the limit
/// is kept, so that validation sees it, and the others are read and dropped.
struct metadata_to_read {
  metadata& pairs;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, metadata_to_read& x) {
    x.pairs.clear();
    return read_list(f, max_meta_pairs, [&] {
      std::string key;
      std::string value;
      auto error = f(key, value);
      if (!error && x.pairs.size() <= max_meta_pairs)
        x.pairs.emplace(std::move(key), std::move(value));
      return error;
    });
  }
};

struct purge_keys_to_read {
  std::vector<named_segment_key>& keys;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, purge_keys_to_read& x) {
    x.keys.clear();
    return read_list(f, max_purge_keys, [&] {
      named_segment_key key;
      auto error = f(key);
      if (!error)
        x.keys.push_back(std::move(key));
      return error;
    });
  }
};

/// @tparam Limited reads x; what only looks at fields gets x itself
template <class Inspector, class Limited, class List>
decltype(auto) limited_for(List& x) {
  if constexpr (Inspector::writes_state)
    return Limited{x};
  else
    return (x);
}

} // namespace detail

} // namespace cairn
