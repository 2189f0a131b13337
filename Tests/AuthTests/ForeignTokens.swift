/// Tokens made outside this project (Python's `cryptography`), so that signing and verifying are not one author's idea.
///
/// All have issuer `https://issuer.test/auth/v1`, audience `authenticated`, subject `user-1`, and end at 1 900 000 000.
enum ForeignTokens {
    /// Genuine, by algorithm; `kid` is the name of the key in ``TestKeys``.
    static let genuine: [(algorithm: String, token: String)] = [
        (
            "RS256",
            """
            eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGg\
            vdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTk\
            wMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.P3Kxy2CG1P6n9Rg1pIHUgmkHvDU-ZZwtgkmAk2EVqFyEFuNpjwYD-tM_Nz0\
            J7QilOmQ8Lff8UWvPpOLbjLLlKN68wUGz-UyyfVVXtTSMgFDcSrJPGYmQZocRRhSKcxxKeJV1xc0RtipZca2bbBPaUkk1sFG\
            5leD3eo-JTC9DgCfbT1eysPSv7R7ZKcYVfAvUpx9o10lOQ2CYpKn5fLKLNa_HlbaCGAzb0I6Jz1PJqbPuMyBJBEGpqw2PlHj\
            T7AMucMGjKozliwIeJ7GlrHEY_w7t6PY1oBskdNLG1Opo4asfuKDYbwPxiV9gREdxfaNUytuzu6j54OG3pwox9l871g
            """
        ),
        (
            "RS384",
            """
            eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGg\
            vdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTk\
            wMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.U7IQpfLE9WBmeprSHJEHu9I1ZIN4CiSuJCn1yxUTJRcMKxgC3K9yvCt7irw\
            dFcFVxsmNe1JnHSTniG04AoAN-DNEMcUNfgLkieMRoUGpWeFhEHNYPaOW9SURYmksbfphRM308_U2_IW5glkBGhMyMBgujvU\
            EbVYYfIhqmVQbxeg0t_jdzYM0xZJifK2mDZkR-9Gxiqh-cqEHUENk_0GjEN9S44KXsdRQbP9UwLmYnkNc2hu8Lz82Ty0tW9H\
            BhKyrlprRiAXM_3Ofap7dzUgnhrUQcaF-rIOJ8eYVHb8LmHNxrNMtECx_5w8mWarLBtVHVmd9wmowTGEoz3YXIFlyPQ
            """
        ),
        (
            "RS512",
            """
            eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGg\
            vdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTk\
            wMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.eN_EfL_sHDeNBqZPlE_duC644rxJO8L0pO1KrfGaxivQduUZ3gKBvXWgM9F\
            VV8k_6f6i2SYMtG2uN4OtdlIgcC1gK-4_nkjHxaG6oDykpqZ4cJQqKhLGa3oGpBWUAMRQebUgvdmKck6Xtzx_t6740VSu2zV\
            5oWtmKv2MTfe_otBNnQ0TN_f5G2NaqIY9TFUYi8qMd8lOhZktE9zMhQD-Po3uE3FLoD7ZN9FQU72m1Yq3BwQndhNholZxt8L\
            ttL8vPwkvRBfdiDjzwe1uZheuzvPRiHqHfGj8NjaApIj9ylF0nh7stYZCsCoIaJllTencgqEmggc3MKfaT_2HqQeleQ
            """
        ),
        (
            "ES256",
            """
            eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InAyNTYifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1d\
            GgvdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5O\
            TkwMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.UGVuEk2m-pdZKQe6ZDwo_ILxZHJbuuem61FGjeM5-HpIdUcaO-RFijgcr\
            udEifqYSwAFtn6uG-CA9pa8cFEevw
            """
        ),
        (
            "ES384",
            """
            eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCIsImtpZCI6InAzODQifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1d\
            GgvdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5O\
            TkwMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.yPt4SfVkoQW8XhHLfdgWpX1AibEK2XA11qnnoyDPL5gUwq3Nu73KDxji0\
            sDMkVR31EYug7nT4wmVeRob7sYAEDT73iYo-ReVyph5aIgI8UxinPx0nnoASDmh8xJIiok2
            """
        ),
        (
            "ES512",
            """
            eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCIsImtpZCI6InA1MjEifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1d\
            GgvdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5O\
            TkwMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.AEyzlT1qWLZDaYSqj9XpMj1qejLI67x7sOHoFSmJTYfrGB0C8ZB-rA9Gf\
            uzukGG2Eum5W9WagttR4b6SFrJiZmogAOvl8KaqxEk9G6kLJk2_ZmrLwSvZzDVpkyc9FkPAR8o9m_q0jxbCAXmrwnwCFSWwn\
            QzO38ShRgR9z_mCqntR61Vx
            """
        ),
    ]

    static let es256ByP384 =
        """
        eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InAzODQifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1d\
        GgvdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5O\
        TkwMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.bA4aDkkjK5Pug8k1vYI3w7KwQ0NPu6FmETJp8HHZUjBWRVPowNGQA47Zp\
        gMi5bp0_nQxkU2alfiVM3KHJGWCJue02bs7ACbxOpfBs6x2JplaibRKMWJCbnTs_6jKIfet
        """
    static let es256ByP384Unnamed =
        """
        eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGgvdjEiLCJhdWQiOiJ\
        hdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTkwMDAsInJvbGUiOiJ\
        hdXRoZW50aWNhdGVkIn0.vLXsx7jp-E3BE1cw1IQLcphVShLIC1kukyImfbPQSLhnwxF7I6rg7EghKL1zcy_qOhJ6S0mqmRs\
        f9UkmVZf6u6rEaZNw9GdebAyWMLyaXX2hxTh-cSXDK5SRYRWqySMn
        """
    static let es384ByP256 =
        """
        eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCIsImtpZCI6InAyNTYifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1d\
        GgvdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5O\
        TkwMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.VTPFBadkrJ3HDOYZ2R-DPYAlkl9TchAvWF0smMgxOLiGwXfPGNAwDfv52\
        WHowUvX9q9kJpTnVnTzzvrg_N6Nfg
        """
    static let es256BySecp256k1 =
        """
        eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InAyNTYifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1d\
        GgvdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5O\
        TkwMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.r_Gf1jAExOor7znJ0xJcTmZm6MJoDlAokGHvAbe4bQSjreQQff1AdBRNH\
        RqhZW5BLxx3B9DX0vY0NMOpMkmdvw
        """
    static let ps256 =
        """
        eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGg\
        vdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTk\
        wMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.AsZ_m29GZ9JbovLCP78JOEpBuxrKc6j2ilmPPibuIgo8sARmmxdZ6klAr2s\
        _5sTJRObw565U4EPh2icOFQUtOI-W0YTas5VSePKMERvNQ94Lnj0EjYBRKTHo6IYLc-W4ELFZ4ww1mLoAuQ3yIahEAY9WkLm\
        r6kp_yInc1-CmIsF5zS_i6ihlyrbOTO956oNBrXFDuMpoRfOA19JGRWA3sHTjVO1W1D_Bd6T9oEGZnOX12NKqMKseHDWlG0I\
        P1fNzpN2dPnYWpCixyBv-MQWauNewV4-UTyVXLSVgBcBGzCM45pRk0L_QDuZBO2eZ0MQ89tTqsiSkhA7c8oOI7Je1Gw
        """
    static let rs256WithPSSSignature =
        """
        eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGg\
        vdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTk\
        wMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.k4pq5OKJLwHm7s3fwUcklssuxOw-HBbQ05yAr3gCmxI6kLD9U0OofhksdsA\
        33DhWmEB5z_A-Ff9UqjxfE_DJTDHvtkJQCLIMBPVCGeitBaeQVP4BY_AJLkXUB8S1voGxR567m3lWTkOXMmrM9yxnlnrrvCT\
        KLXULPz3_uNMO1zGCHlcHb2dB_U2nj0EJ7BFf1F1dE6nIHRD6HTQ4N9e3_uXq0PORGzgyZfKtuqW9AzhKtlxLQi3ev-RCfhC\
        gFV3adYh8JAl4CpoUSNOcpDUGEdgzchN_LyojsnjXq3Ba9AQFTqyWqTvPJdByFG6jGH_naUrDVtAnpZpBtakc4cEDNA
        """
    static let rs256HashedBySHA512 =
        """
        eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGg\
        vdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTk\
        wMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.IkfXdAT5cUyLjcbITH4M4IYdx6mYAYixpnG99v2rcGtT2rHNh2Gu-J-d8_L\
        N85RA80WUx85BfF9HOPmMLEvxcLNpsw9X78OAexmNZ5uG7CtyZweNT4PdEtxUUg3YmxAa0SB2XtV-iBi8M6vGKrUGkePm3R3\
        UYg1-psI7qwNehzxjyPy_HHfrgJufyauzVxfTmrXOz5WhHeca_5675vZiqbYd137m9l-b7XZOThuPdD7irr6d8ssg7S9YwsF\
        -YD4v2P9bz5mJX_9eePIR-li0EIff81bLuqyQgtc_r8uvh-z_HsyQqL2-6GsNtlM5GbSMgA_uVSy9qM8nCkEOtKFT8g
        """
    static let rs512HashedBySHA256 =
        """
        eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGg\
        vdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTk\
        wMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.CFBfTkglqLdsfWmu0YWYaOZVptqoPk6iqo0KKjG-seVGqYPRWOqWDUbqzpl\
        Im8zlKpcDJzWi7IY-Zee2DazZ8cV1mCwUzzenaI0tCzEj-OPKFaFCo1wxEqsN48BuAC2qwcU0GuCnj8jWnWSccRQv4bQ0q0x\
        UHreSxDNjc4pxY-CTNTQ_xGFnrw9FLmGA4d01sTuwIZWh8Nt4BZ_7abDieOTjzGJcDQlXy-jIRGEkVVHumdD6zg8nJZUj3Pp\
        YF5vkbTo0x6Mx-l4TbnB4SFGSTmSmLvZv3Zp_FpT6O8HxesihwAfepmHSk8tJhkvjyzItlqybbNoy5OGpEgxCrR5CtA
        """
    static let edDSA =
        """
        eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImVkIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGgv\
        djEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTkw\
        MDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.WU6y0tWXjullEVT4418VboaXXzqkTpq35z7PG2L-19UCR26xnaDJcWrYNaVc\
        5KoHdq_pnJcmblECJ4GehhbaAA
        """
    static let rs256ByShortKey =
        """
        eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InNob3J0In0.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1\
        dGgvdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5\
        OTkwMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.mFb1c30VDO5d_ONpKdvwj-uyaCtbFDHJsBZd81WXZAF7_FulcDyqGQNB\
        HBtvVzq8qlnTsGLYKj0MUzVIVwDGmbcuqigq_hsh8aXVPK9e6tfxlomhyh2M87qgfxom4HAmFTo9EEiT8Gz9pThE93gYOgK1\
        CiOwnhl5y_XfdhgaYwg
        """
    static let embeddedKey =
        """
        eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImp3ayI6eyJrdHkiOiJSU0EiLCJuIjoiMk1VRllZZzloX3htQW1tb0h3V2tm\
        T0ZSZndYSHIteFY5NWpkWGpWZ1NXVVMzN0pZeGttM3ZQMm5nRXBNSEdzLTE1V0VyOW05aE54alNRNXVzUWlmQzc4SDgwUlpv\
        T2JfamNRdWZNNldHVjlWN2xremZxRi04bXVDc1ctQjYtUzZuUUd6NkZMVEEybC1XcF8zLTlhTlk3SmlQS2ViU2JacVIwVWd5\
        bVpZUFF2NUFadkJyZmNlX0RYSnNBRzB4YXo1c29udXFhS2JrOGktZ21sS25oS3FJcnhRWVowTVBvMlk2UHgySHN4allBT0tw\
        U1dmV2FuNC1DLVdjVTFYRWRFZHZaR0hGNHdPR3oyTnRVS0VCOFZUYTNBNjNGLU1YUkl4LWxKOURsNFFmbVIzTi1TdHVIWU52\
        TXRBZUw5X2NKTWhHMUhSRlc3Q3BncjRoRklJcTNmMDF3IiwiZSI6IkFRQUIiLCJraWQiOiJyc2EifX0.eyJpc3MiOiJodHRw\
        czovL2lzc3Vlci50ZXN0L2F1dGgvdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAw\
        MDAwMDAwLCJpYXQiOjE3OTk5OTkwMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.CQCMe5pabHmCDIZk_RI7HDtaCCZqUX7m\
        2oxycDMVOHucEcOuBseNMbTZiOK6k_onymKKj7dUHhUap7GmHwfEqIbB2NfLJWO7DrH5DYrsT-Zf3n7kJMydmduMiQuzGxVc\
        cEyJ49T1DXmjZC_V4nL3CJnqyJpjf1Sm5ATY-tt23DBM3HKRHsvYDeegwBKr9q419O_TSkiDw3fMAlTx2PTlDI_4zuu6rcq9\
        5aEYDznRaiJ9hFYV4pVcEl5ZRjlOLpcY_neXPGUaaZn3i7fZXmiJjIeKxD2Xzn7b5Ba4hUCqKZG4GxGgf_2j-guwg0LoOjzq\
        IkjXl8p--j8m05gvY1Ctnw
        """
    static let embeddedKeyUnderOurName =
        """
        eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSIsImp3ayI6eyJrdHkiOiJSU0EiLCJuIjoiMk1VRllZZzlo\
        X3htQW1tb0h3V2tmT0ZSZndYSHIteFY5NWpkWGpWZ1NXVVMzN0pZeGttM3ZQMm5nRXBNSEdzLTE1V0VyOW05aE54alNRNXVz\
        UWlmQzc4SDgwUlpvT2JfamNRdWZNNldHVjlWN2xremZxRi04bXVDc1ctQjYtUzZuUUd6NkZMVEEybC1XcF8zLTlhTlk3SmlQ\
        S2ViU2JacVIwVWd5bVpZUFF2NUFadkJyZmNlX0RYSnNBRzB4YXo1c29udXFhS2JrOGktZ21sS25oS3FJcnhRWVowTVBvMlk2\
        UHgySHN4allBT0twU1dmV2FuNC1DLVdjVTFYRWRFZHZaR0hGNHdPR3oyTnRVS0VCOFZUYTNBNjNGLU1YUkl4LWxKOURsNFFm\
        bVIzTi1TdHVIWU52TXRBZUw5X2NKTWhHMUhSRlc3Q3BncjRoRklJcTNmMDF3IiwiZSI6IkFRQUIiLCJraWQiOiJyc2EifX0.\
        eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGgvdjEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0x\
        IiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTkwMDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.tPMnN-awDY4jlgT4\
        RZebrtbTW2B6C9RC2Z9yUnNiAvOpc6VXG7_31Nm-AIbaV7m6KQzK3BRqfMAPUaFT4DQJOnKJMVABIF5spVF-8Xc9ouLeGSaI\
        mDv8Hn6_MFwwuksNIKlvPEYxvgCsgiHGa-a562HauO3sZEHVxMCHIAgqkkkJ-e71f3Ym1hKpTSwXiuCwatJm2v5lnRz5jAC1\
        U5mwbsw5iJKuP6tlmcBLRWdeCng4DPmfEEnT0NI8Pkcid1jniihk1RmUqNRW4ePMfKdh8g--Wk9982tpmGrHuNx3xGuk4mUK\
        ToYKLgGk5T3VLpojgzxc2krJ3sCUdlLrZBqzvQ
        """
    static let keyAtURL =
        """
        eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSIsImprdSI6Imh0dHBzOi8vZXZpbC50ZXN0L2p3a3MuanNvbiIsIng1dSI6Imh0\
        dHBzOi8vZXZpbC50ZXN0L2MucGVtIiwieDVjIjpbIk1JSUIiXX0.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0L2F1dGgv\
        djEiLCJhdWQiOiJhdXRoZW50aWNhdGVkIiwic3ViIjoidXNlci0xIiwiZXhwIjoxOTAwMDAwMDAwLCJpYXQiOjE3OTk5OTkw\
        MDAsInJvbGUiOiJhdXRoZW50aWNhdGVkIn0.q32UFWIJOO2oM1e26Je2jTXbf4cjRAm4ySIesT6Tu60JuxiIPBAOUiawSoHR\
        qROXsRyBYHJ395vSjvNgO86-3cPJcMq8aSiP6vVzZ-u-jBFbLZ_zhu53yEIYpYFwWk-S6WIzy6x8ENCrK6FH3r6CcRiynb8X\
        Ze0jia4bjEHzGvnbdjl3Jj3lWudm0W1tIYr-E-1ehnYFBPLovoYTIkJ2YagoEZpriWO1RaNSv84lQhO6c662Wc2umuerTfaj\
        lOQnp8_-K0g2OpgScyf_rRTVu9d5Flbk5wf1Gpw8PrJzVDVYEdnDXoAFr0ewumaV2wu2aKUTT95jvEzdRTZjw8UrZg
        """
}
