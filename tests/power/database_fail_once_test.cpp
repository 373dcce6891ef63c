/// One call of the database fails, and only that one: the fixed run is repeated for each call that it makes,
/// the COMMITs among them, and for each way to fail.
///
/// CAIRN_EVERY=N takes only each Nth call, and the first COMMIT (1: all of them).

#include "tests/power/database_proxy.hpp"
#include "tests/power/fixed_run.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn::power {
namespace {

std::uint64_t stride() {
  const auto* given = std::getenv("CAIRN_EVERY");
  return given == nullptr ? 1 : std::max(1ULL, std::strtoull(given, nullptr, 10));
}

const allowed_failures failures_of_database{.starts = {errc::database_unavailable},
                                            .reads = {errc::database_unavailable},
                                            .writes = {},
                                            .stop_ticks = 4};

class DatabaseFailsOnceTest : public ::testing::TestWithParam<call_failure> {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(is_traced() ? spdlog::level::info : spdlog::level::off);
    database_ = std::make_unique<flushed_database>();
    proxy_ = std::make_unique<database_proxy>(database_->connection_string());
  }
  static void TearDownTestSuite() {
    proxy_.reset();
    database_.reset();
  }

  fixed_run run_anew() {
    database_->begin_anew();
    proxy_->begin_anew();
    return {*database_, directory_ / "node", failures_of_database, proxy_->connection_string()};
  }

  /// @returns the calls that the run makes up to the loss of power
  std::vector<std::string> list_calls() {
    auto run = run_anew();
    std::vector<std::string> calls;
    run.on_end = [&] { calls = proxy_->calls(); };
    run.go();
    EXPECT_GE(run.mended(), 2U);
    return calls;
  }

  void fail(std::uint64_t nth) {
    try {
      auto run = run_anew();
      proxy_->fail(GetParam(), nth);
      refused_starts_ += run.go();
    } catch (const std::exception& e) {
      const auto calls = proxy_->calls();
      ADD_FAILURE() << "call " << nth << " of the run, \"" << (nth <= calls.size() ? calls[nth - 1] : "")
                    << "\", is " << to_string(GetParam()) << ": " << e.what();
    }
    EXPECT_GE(proxy_->calls().size(), nth) << "it was never made";
  }

  static inline std::unique_ptr<flushed_database> database_;
  static inline std::unique_ptr<database_proxy> proxy_;
  volatile_directory directory_;
  int refused_starts_ = 0;
};

TEST_P(DatabaseFailsOnceTest, WhatWasAcknowledgedIsThere) {
  const auto calls = list_calls();
  const auto first_commit = static_cast<std::uint64_t>(std::ranges::find(calls, "COMMIT") - calls.begin());
  ASSERT_LT(first_commit, calls.size());
  int runs = 0;
  int commits = 0;
  for (std::uint64_t i = 0; i < calls.size(); ++i)
    if (i % stride() == 0 || i == first_commit) {
      fail(i + 1);
      ++runs;
      commits += calls[i] == "COMMIT" ? 1 : 0;
    }
  std::cout << fmt::format("{}: {} calls, {} runs with one that failed, {} of them a COMMIT, {} starts "
                           "refused\n",
                           to_string(GetParam()), calls.size(), runs, commits, refused_starts_);
}

INSTANTIATE_TEST_SUITE_P(Calls, DatabaseFailsOnceTest,
                         ::testing::Values(call_failure::cut_before, call_failure::cut_after,
                                           call_failure::refused),
                         [](const auto& of) {
                           auto name = std::string{to_string(of.param)};
                           std::ranges::replace(name, ' ', '_');
                           return name;
                         });

} // namespace
} // namespace cairn::power
