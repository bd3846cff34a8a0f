"""The bundled community: ten real homes in one sunny week; `NOTICE` holds their licence and origin."""
