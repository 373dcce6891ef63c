#pragma once
/// Records folded into a real PostgreSQL.

#include "tests/support/log_records.hpp"
#include "tests/support/test_database.hpp"

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace cairn {

class FoldTest : public testing::Test {
protected:
  using kind = fold_outcome::kind;

  /// One committed round. @returns what became of the records and of the look-ups
  node_database::round_outcome apply(std::span<const placed_record> records,
                                     std::span<const segment_key> look_ups = {},
                                     std::span<const value_file_row> file_rows = {}) {
    node_database::round facts;
    facts.expected_position = node_->position().value();
    facts.new_position = records.empty() ? facts.expected_position : records.back().at.lsn;
    facts.records = records;
    facts.look_ups = look_ups;
    facts.file_rows = file_rows;
    auto outcome = node_->begin_round(facts);
    EXPECT_TRUE(outcome) << outcome.error().message;
    if (!outcome)
      return {};
    const auto committed = node_->commit_round();
    EXPECT_TRUE(committed) << committed.error().message;
    return std::move(*outcome);
  }
  node_database::round_outcome apply(const record_list& list) { return apply(list.all()); }
  std::vector<kind> kinds(const record_list& list) {
    std::vector<kind> out;
    for (const auto& outcome : apply(list).records)
      out.push_back(outcome.what);
    return out;
  }

  std::optional<stored_segment> look_up(const segment_key& key) {
    return apply({}, {&key, 1}).look_ups.front();
  }

  /// For a second application: the guard against that is not what is tested.
  void set_back() { database_.query("UPDATE cairn.log_position SET lsn = 0"); }

  test_database database_;
  std::unique_ptr<node_database> node_ = database_.open();
};

} // namespace cairn
