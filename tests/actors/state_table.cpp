#include "tests/actors/state_table.hpp"

#include <sstream>
#include <stdexcept>

namespace cairn {

namespace {

std::string trim(std::string_view text) {
  const auto first = text.find_first_not_of(" `");
  if (first == std::string_view::npos)
    return {};
  return std::string{text.substr(first, text.find_last_not_of(" `") - first + 1)};
}

std::vector<std::string> split_row(std::string_view line) {
  std::vector<std::string> cells;
  line.remove_prefix(1); // the first bar
  while (!line.empty()) {
    const auto bar = line.find('|');
    if (bar == std::string_view::npos)
      break;
    cells.push_back(trim(line.substr(0, bar)));
    line.remove_prefix(bar + 1);
  }
  return cells;
}

/// Takes off what follows the mark, and the mark.
std::string cut_behind(std::string& text, std::string_view mark) {
  const auto at = text.find(mark);
  if (at == std::string::npos)
    return {};
  auto behind = trim(std::string_view(text).substr(at + mark.size()));
  text = trim(std::string_view(text).substr(0, at));
  return behind;
}

state_cell parse_cell(std::string text) {
  state_cell cell;
  if (text == "-") {
    cell.is_case = false;
    return cell;
  }
  cell.held = cut_behind(text, "(final: ");
  if (!cell.held.empty() && cell.held.back() == ')')
    cell.held.pop_back();
  cell.then = cut_behind(text, "→");
  cell.when = cut_behind(text, ",");
  const auto stays = text == "stays"; // an event, of which nobody is told
  if (!stays)
    cell.result = text;
  if (!stays && cell.result.empty() && cell.then.empty())
    throw std::runtime_error("a cell of the state table says nothing");
  return cell;
}

} // namespace

std::string to_string(const state_cell& cell) {
  if (!cell.is_case)
    return "-";
  auto text = cell.result;
  if (text.empty() && cell.then.empty())
    text = "stays";
  if (!cell.when.empty())
    text += ", " + cell.when;
  if (!cell.then.empty())
    text += (text.empty() ? "→ " : " → ") + cell.then;
  if (!cell.held.empty())
    text += " (final: " + cell.held + ")";
  return text;
}

state_table read_state_table(const std::string& markdown, std::string_view first_header) {
  state_table table;
  std::istringstream lines(markdown);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('|')) {
      if (!table.states.empty())
        break;
      continue;
    }
    auto cells = split_row(line);
    if (table.states.empty()) {
      if (cells.empty() || cells.front() != first_header)
        continue;
      table.states.assign(cells.begin() + 1, cells.end());
      std::getline(lines, line); // dashes
      continue;
    }
    if (cells.size() != table.states.size() + 1)
      throw std::runtime_error("not a cell for each state: " + line);
    table.messages.push_back(cells.front());
    for (std::size_t i = 0; i < table.states.size(); ++i)
      table.cells[cells.front()][table.states[i]] = parse_cell(cells[i + 1]);
  }
  return table;
}

} // namespace cairn
