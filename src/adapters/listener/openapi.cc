// The admin API as its clients see it. tests/adapters/listener compares it with the routes.
#include "adapters/listener/admin.h"

namespace postlane {
namespace {

constexpr std::string_view kDocument = R"json({
  "openapi": "3.1.0",
  "info": {
    "title": "postlane admin API",
    "version": "1",
    "description": "What one instance knows about recipients, partitions and its ledger. Answers hold recipient ids; keep the listener on loopback or behind its token."
  },
  "security": [{"token": []}],
  "paths": {
    "/api/v1/recipients/{id}/timeline": {
      "get": {
        "operationId": "recipientTimeline",
        "summary": "Verdict and timeline of a recipient's messages, or of one",
        "parameters": [
          {"name": "id", "in": "path", "required": true, "description": "recipient id, percent-encoded", "schema": {"type": "string", "minLength": 1, "maxLength": 512}},
          {"name": "message", "in": "query", "description": "only this message id", "schema": {"type": "string", "minLength": 1, "maxLength": 512}}
        ],
        "responses": {
          "200": {"description": "the report", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RecipientReport"}}}},
          "default": {"$ref": "#/components/responses/Problem"}
        }
      }
    },
    "/api/v1/suppressions:check": {
      "post": {
        "operationId": "checkSuppressions",
        "summary": "Whether mail to a recipient or an address would be suppressed now",
        "requestBody": {"required": true, "content": {"application/json": {"schema": {
          "type": "object",
          "anyOf": [{"required": ["recipient_id"]}, {"required": ["email"]}],
          "properties": {
            "recipient_id": {"type": "string"}, "email": {"type": "string"},
            "category": {"type": "string", "default": "default"}, "sequence": {"type": "string"}
          }
        }}}},
        "responses": {
          "200": {"description": "the answer", "content": {"application/json": {"schema": {
            "type": "object",
            "required": ["suppressed", "proven_fresh", "as_of"],
            "properties": {
              "suppressed": {"type": "boolean"},
              "proven_fresh": {"type": "boolean", "description": "false: newer suppressions may exist"},
              "as_of": {"type": "string", "format": "date-time"},
              "suppression": {"type": "object", "properties": {
                "scope": {"type": "string"}, "reason": {"type": "string"},
                "occurred_at": {"type": "string", "format": "date-time"},
                "by": {"enum": ["recipient", "address"]}
              }}
            }
          }}}},
          "default": {"$ref": "#/components/responses/Problem"}
        }
      }
    },
    "/api/v1/partitions": {
      "get": {
        "operationId": "partitions",
        "summary": "The partitions this instance owns",
        "responses": {
          "200": {"description": "the partitions", "content": {"application/json": {"schema": {
            "type": "object", "required": ["partitions"],
            "properties": {"partitions": {"type": "array", "items": {"$ref": "#/components/schemas/Partition"}}}
          }}}},
          "default": {"$ref": "#/components/responses/Problem"}
        }
      }
    },
    "/api/v1/status": {
      "get": {
        "operationId": "status",
        "summary": "This instance",
        "responses": {
          "200": {"description": "the status", "content": {"application/json": {"schema": {
            "type": "object",
            "required": ["version", "started_at", "group_joined", "draining", "partition_count", "in_flight", "max_in_flight", "providers", "partitions"],
            "properties": {
              "version": {"type": "string"},
              "started_at": {"type": "string", "format": "date-time"},
              "group_joined": {"type": "boolean"},
              "draining": {"type": "boolean"},
              "partition_count": {"type": "integer"},
              "in_flight": {"type": "integer"},
              "max_in_flight": {"type": "integer"},
              "providers": {"type": "array", "items": {"type": "object", "properties": {
                "name": {"type": "string"}, "circuit_open": {"type": "boolean"}, "on_the_wire": {"type": "integer"}
              }}},
              "partitions": {"type": "array", "items": {"$ref": "#/components/schemas/Partition"}}
            }
          }}}},
          "default": {"$ref": "#/components/responses/Problem"}
        }
      }
    },
    "/api/v1/ledger": {
      "get": {
        "operationId": "ledgerStats",
        "summary": "Rows of the local stores",
        "responses": {
          "200": {"description": "the figures", "content": {"application/json": {"schema": {
            "type": "object", "required": ["partitions"],
            "properties": {"partitions": {"type": "array", "items": {"type": "object", "properties": {
              "partition": {"type": "integer"}, "ledger_next": {"type": "integer"},
              "messages_live": {"type": "integer"}, "messages_ended": {"type": "integer"},
              "sequences": {"type": "integer"}, "suppressions": {"type": "integer"},
              "store_bytes": {"type": "integer"}
            }}}}
          }}}},
          "default": {"$ref": "#/components/responses/Problem"}
        }
      }
    },
    "/api/v1/ledger:verify": {
      "post": {
        "operationId": "ledgerVerify",
        "summary": "Compare every local store with its ledger topic",
        "responses": {
          "200": {"description": "the comparison", "content": {"application/json": {"schema": {
            "type": "object", "required": ["agrees", "partitions"],
            "properties": {
              "agrees": {"type": "boolean"},
              "partitions": {"type": "array", "items": {"type": "object", "properties": {
                "partition": {"type": "integer"}, "agrees": {"type": "boolean"},
                "compared": {"type": "integer"}, "missing": {"type": "integer"},
                "different": {"type": "integer"}, "extra": {"type": "integer"}
              }}}
            }
          }}}},
          "default": {"$ref": "#/components/responses/Problem"}
        }
      }
    },
    "/api/v1/openapi.json": {
      "get": {
        "operationId": "openapi",
        "summary": "This document",
        "responses": {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}}
      }
    }
  },
  "components": {
    "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    "responses": {
      "Problem": {"description": "RFC 9457 problem", "content": {"application/problem+json": {"schema": {
        "type": "object", "required": ["type", "title", "status", "code", "detail"],
        "properties": {
          "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
          "code": {"enum": ["bad_id", "bad_body", "bad_target", "bad_request", "body_too_large", "busy", "headers_too_large", "host_not_allowed", "internal", "method_not_allowed", "not_found", "not_owned", "restoring", "token_required", "too_many_connections", "unavailable", "unsupported"]},
          "detail": {"type": "string"}
        }
      }}}}
    },
    "schemas": {
      "Partition": {
        "type": "object", "required": ["partition", "state", "in_flight", "held"],
        "properties": {
          "partition": {"type": "integer"},
          "state": {"enum": ["fencing", "restoring", "running", "draining", "stopped"]},
          "in_flight": {"type": "integer"}, "held": {"type": "integer"},
          "restore_remaining_records": {"type": "integer"},
          "sends_lag_records": {"type": "integer"},
          "suppressions_lag_records": {"type": "integer"},
          "suppression_staleness_ms": {"type": "integer", "description": "absent: never proven fresh"}
        }
      },
      "Verdict": {"enum": ["held", "waiting", "scheduled", "ready", "sending", "retrying", "sent", "suppressed_at_send", "expired", "failed", "dead_lettered", "ambiguous"]},
      "RecipientReport": {
        "type": "object",
        "required": ["recipient_id", "partition", "as_of", "ledger_reaches_back", "verdict", "sentence", "messages", "more_messages", "sequences", "suppressions"],
        "properties": {
          "recipient_id": {"type": "string"}, "partition": {"type": "integer"},
          "as_of": {"type": "string", "format": "date-time"},
          "ledger_reaches_back": {"type": "string", "format": "date-time"},
          "verdict": {"anyOf": [{"$ref": "#/components/schemas/Verdict"}, {"const": "unknown"}]},
          "sentence": {"type": "string"},
          "decisive_message_id": {"type": "string", "description": "the latest message that was not sent"},
          "messages": {"type": "array", "items": {
            "type": "object", "required": ["message_id", "verdict", "sentence", "attempts", "timeline"],
            "properties": {
              "message_id": {"type": "string"},
              "verdict": {"$ref": "#/components/schemas/Verdict"},
              "sentence": {"type": "string"}, "attempts": {"type": "integer"},
              "reason": {"type": "string"}, "campaign_id": {"type": "string"},
              "category": {"type": "string"}, "route": {"type": "string"},
              "provider": {"type": "string"}, "provider_message_id": {"type": "string"},
              "sequence": {"type": "object", "properties": {"id": {"type": "string"}, "step": {"type": "integer"}}},
              "input": {"type": "object", "properties": {"topic": {"type": "string"}, "partition": {"type": "integer"}, "offset": {"type": "integer"}}},
              "timeline": {"type": "array", "items": {
                "type": "object", "required": ["at", "event", "detail"],
                "properties": {"at": {"type": "string", "format": "date-time"}, "event": {"type": "string"}, "detail": {"type": "string"}}
              }}
            }
          }},
          "more_messages": {"type": "boolean"},
          "sequences": {"type": "array", "items": {"type": "object"}},
          "suppressions": {"type": "array", "items": {"type": "object"}}
        }
      }
    }
  }
}
)json";

}  // namespace

std::string_view openapi_document() noexcept {
    return kDocument;
}

}  // namespace postlane
