#pragma once
/// A node as its clients see it: real actors, real disk, real PostgreSQL.

#include "core/store/file_spaces.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/local_node.hpp"

#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <pqxx/pqxx>
#include <spdlog/spdlog.h>

namespace cairn {

inline constexpr std::size_t mebibyte = 1U << 20U;

inline std::string value_file_of(const harness::local_node& node, value_file_id id) {
  return value_file_path(node.settings().data_directory + "/spaces", space_id{1}, id);
}

/// A node that its tests share; each has clients of its own.
class NodeTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::warn);
    directory_ = std::make_unique<harness::scratch_directory>();
    node_ = std::make_unique<harness::local_node>(harness::settings_in(*directory_ / "node"));
    ASSERT_EQ(node_->start().result, errc::success) << node_->start().error_message;
  }
  static void TearDownTestSuite() {
    node_.reset();
    directory_.reset();
  }
  static harness::local_node& node() { return *node_; }
  static pqxx::connection database() {
    return pqxx::connection(harness::database_of(node_->settings().data_directory));
  }

  std::unique_ptr<client> client_ = node_->attach();

private:
  static inline std::unique_ptr<harness::scratch_directory> directory_;
  static inline std::unique_ptr<harness::local_node> node_;
};

/// A node with settings of the test's own.
class OwnNodeTest : public testing::Test {
protected:
  node_settings settings() { return harness::settings_in(directory_ / "node"); }
  harness::scratch_directory directory_;
};

} // namespace cairn
