#pragma once
/// The table of states and messages as actors/README.md has it.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {

/// What a cell says: "RESULT, WHEN -> STATE (final: RESULT)", each part but one optional; "-" = no such case.
struct state_cell {
  bool is_case = true;
  std::string result; ///< of a message; empty for an event, which nobody is told of
  std::string when;   ///< "at once", "written", "looked up" or "durable"
  std::string then;   ///< state that the key is in afterwards; empty = it stays
  std::string held;   ///< what the final (or entire) that waits is answered; empty = success

  bool operator==(const state_cell&) const = default;
};

/// For messages of failures.
std::string to_string(const state_cell& cell);

struct state_table {
  std::vector<std::string> states;
  std::vector<std::string> messages;
  std::map<std::string, std::map<std::string, state_cell>> cells; ///< by message, then by state
};

/// The first table whose header begins with this word. @throws std::runtime_error where a cell does not parse
state_table read_state_table(const std::string& markdown, std::string_view first_header);

} // namespace cairn
