import GatewayTestSupport

/// Keys for tests only, made for this file. Never use them for anything else.
enum TestKeys {
    static let rsaPrivate = """
        -----BEGIN PRIVATE KEY-----
        MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDQavhyJJriSqj1
        DWa9rWBFFe5RPpoApJNzwPMv2E5i5Icg4p+tVplwT0JVGkZcxrqKjvx5niWNHKmt
        /3+fzu2jTrCWTQ7LYp2X+9C6ZeYycpeTNAtTr01CM6g0hA4l/IRaSMU5lO1mqvOk
        fLfP0zYOW85Xc1QAcASpueG1zyeHsO5M+OGnkQTX2jSzE9OTAqHX0tAaGMcbVill
        qfG95KNUQYyqbhZbNSukjo2OZ8GXyMt1MvkxLzNaS99wi+9+M61jmI+M1wXNzNQT
        Y5wTUN85Iq/SqQoz0gl8HxEeJJpKm2s2sXstCjnEYYcpn2BNHPeZHNUKz0xDXPEm
        Pu0RpJTRAgMBAAECggEAA2yAcpqWl0lX83eiBJNusY/Zy4iiXciWWghVTmfIqN/9
        ds02R5IUwPcyXSTKe19x5NESxXozPnlWMcMw4OqUtZI3PS7co3t2II8s14URRiqj
        AhJwrbIjbCceWCeDtnzKnVOU9txTFpTQHheE6wN6n7uDHSVqP7wXXYTt1+9kZDqc
        phl1S3FjDsf0lbzk2VOntNS9ecLdpPrELAffYMnv7e4a4Qi38MiyPYxF1h5RkzmV
        3/lfUmt+N/hGKBSYs9iCiNroGNt3qVtNUJfTN6Q8+WgTRHIIwdg9+gBixlmWPrV8
        Tx1xGk/shWmjs4z4EkBQHwdAsykXKg0eAi6s5adpCQKBgQDs4KN5pV2B6NUEGjaz
        0PbifmwTrjzb/WuxpdhyDnVTqNz1FxHrlyNpUD1J3QJeHnRbebcmZ8hnc0a2qGn4
        OAcrPbz5ByZ3hdG9ZeoUzJql9M3GnWKZPgEi7J3xnzvmlnHSelQru/q+P1lUl9hq
        rRmf6mKGqnuMF0e33kWBl1FHmQKBgQDhPi3IGGP1gPRmFNdljayCNpvlaInCE74G
        u60j3SHr3PY/gSWLCVmIfaDrJU6EAn2jiWjKPw65uJhngErqawJNGHeGDXn7E+LL
        U4fmVjUzUVafjQD2Fh/i2MX73KCSlPz6lo6oSAHhJmqzV3NpA9GtQvvhE9du78S4
        kiXOb1gZ+QKBgQDpaUlsmrgTRJxyWGpCscw0zqIsmmo50/OEr4kiioCuGRzxHPR5
        kwo/weNCn1av6454fO0uGOHunja10inpfzwBLerB8HvFFsXfvUb1i89vbFRAO+Fm
        YyS3hzTzXBaoVuJ9pjC+j5K6WK3rn1yPcVZor4q6a88l8eKnmYwf8D0VMQKBgAqp
        RMV50hFmvyqtxdw6rnWjXBGptwuGn7H15CYUa2ycktNCq6I/GQvK1nkK1QKOk5/P
        +zPHdEz6HcyYV/NsiTlY9R9VN/bYZB23oHEYl4AMU4tNw0PinDPCiux27urBPpAl
        3C6+6cfcZ6SBeSb5VU1cJEvtAn9vveH2mO+CeasRAoGBAJhuoWhUdkwAHeE8mpqh
        2Vnd6AsZVT2SMwHIFPdiuw0JXFCYWzC040SDd5Hp8tJ0/CdNtb8N5zac0EqWVQqK
        aQhmzKFbSB7ufFQvzUkwxzg/DFItHWXnicfvqH6nCwXdBastSQlsKxPYQAXDO6hB
        xpgFrP2GXVW44BFoFj2qzsyj
        -----END PRIVATE KEY-----
        """

    static let rsaPublic = SampleKeys.rsaPublic

    static let otherRSAPrivate = """
        -----BEGIN PRIVATE KEY-----
        MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQD9Yuo927AiQ0gD
        caOKnQf+E6d2mRO0naxlRco2zv1THI+RutMt9bnavqxUNjZulzophpQpY2JmfZYC
        RES3KY0ryv7jBm9iUCxFdzSf13SPeuoxXrkMYHSEJRtKjXGThh06p1hlIW4xEJ7b
        pb2TGLFSknbHgXkk2V/VDUNzq3v62ijFoCHcnIq6gL7buGcI0WzcK6kiyd8eFK7T
        P+pYaTvGajW9LEVM/X2ZMAeaZK97T12ou4mtc1B9mHz4yqmoRe1CWOTL2HnVqdv5
        TmHnEZfXMaJ+CuislUDnkJ/h03tAN9yMsgM2OuKsJm/fIAt5GlQV3+wtBkIr7NcT
        KrW7kO1TAgMBAAECggEADsnkJAIbcJR+snzCb8ekfMbG4lwi00rUkgCVwcco793d
        30KJKsiJtWOliTC00pWO9nd9VEERsCuqQq2bWRlavPCXGcb5X0KQoulHMAESM4GY
        A5Oktz0177R+uEYzF8ofEJpNxXFDDigLLYSp4NjzGH+l4RUEbgsl1bh1dF3Q2Z4e
        QjjjBEumlzNLaxe7wNZuwvafxypwl4BBpKrAKfkbvpthtE9ZXqqXZdq5GH9B/HJk
        Rus4uOGknaO9UdgG4U+URtWhJnn3NWC7i6VdGX85Xbx/Whpkl1pwvI0prGPIxofd
        ER0NtmH21LzhC6uOlapd2LJJfIxqFlwsqRCMSjAmeQKBgQD+2RgSkAtj8CuEnoBu
        zb11uJ9QFADPpyky4Ns1aNtX9IsXfmTabVOLWdrfoydyLj4eTX5Q8TTUOmF4dinT
        Lhejid5OJ7FwACrTSoSLdOTkC40x3LjDI9lN9tHWgunZLkkg5lcZCzUS2Y9QEmWp
        MrVPEClnMplvDvVKx0UaNzqnBwKBgQD+iCEs3n4Vqq8A7Dm4V9g5tLCBoVfmtZMh
        IWrgH3TgsXhLtcYIjiXkkHEAZYNZB2/V21+DSU3YeHdFdVpyqjRWz5NJMsS9+z9j
        8oaXivu4WWe68nRvLAlg+IQCOQAtQmmj0zBcLzGiqoURcLqALUzB46M7XknYe4TU
        9uJfCBbIVQKBgGDOmL1caGdDMVTEXOc6UjDou+PQZWp8BkNkdQC53zBvHXMEOU1b
        4DN8I492S6Ks/D3IlCYtKjNAJgx7XnHw/VvLIF4x584y0hHHKchL1DLoTG9Xd/vw
        nzhlfNpuimRMl8zektFZl4ScjjsNcf6u2364FfI0n2I3nWgVgCNwPWB7AoGARsA+
        QIOkFo+4T5BaRwScBQZV3eKkVWv5dsccNypnSaHrJ1hisLQaklsYHh0ZkqC/lHmD
        JjI1IkvyE2uYdbEcFVljvoAPMiPprfWXNf6bE9Y+QDfu54wdG0hZIWkIxIvmY3Rr
        x+QSbv3pOTzVipWM9YQ6NmFyM2u6M5xgtjvAYXUCgYEA8Hb+OkptvmIStw2tqc7C
        +YU8lAZcTmzS2nNfEMnqv444ma9brX6WOv6acri1oJgoSeYYNFKa5ijcZZidqo9V
        2iFEvOnwIWZn/fWYV/8LN/gKf/J6VawtcoTUw1DHCSlBoxYdrTtoNWg4kfHcgBSx
        NZI8u5HdHrv9PfoF8sKMEjA=
        -----END PRIVATE KEY-----
        """

    static let otherRSAPublic = """
        -----BEGIN PUBLIC KEY-----
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA/WLqPduwIkNIA3Gjip0H
        /hOndpkTtJ2sZUXKNs79UxyPkbrTLfW52r6sVDY2bpc6KYaUKWNiZn2WAkREtymN
        K8r+4wZvYlAsRXc0n9d0j3rqMV65DGB0hCUbSo1xk4YdOqdYZSFuMRCe26W9kxix
        UpJ2x4F5JNlf1Q1Dc6t7+tooxaAh3JyKuoC+27hnCNFs3CupIsnfHhSu0z/qWGk7
        xmo1vSxFTP19mTAHmmSve09dqLuJrXNQfZh8+MqpqEXtQljky9h51anb+U5h5xGX
        1zGifgrorJVA55Cf4dN7QDfcjLIDNjrirCZv3yALeRpUFd/sLQZCK+zXEyq1u5Dt
        UwIDAQAB
        -----END PUBLIC KEY-----
        """

    static let p256Private = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSwVgimMlneqaoA6Y
        7TfM/oOz4aT+LY+e5yZAFZEkqS6hRANCAASf9TU2wrgKx6MDiLgYFLeVC642v//f
        ZzVBa882NsQOJW5FfjLNOrLtw9iuG8YSvIemWZ56M7kfdieymyGINFXy
        -----END PRIVATE KEY-----
        """

    static let p256Public = """
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEn/U1NsK4CsejA4i4GBS3lQuuNr//
        32c1QWvPNjbEDiVuRX4yzTqy7cPYrhvGEryHplmeejO5H3YnspshiDRV8g==
        -----END PUBLIC KEY-----
        """

    static let otherP256Private = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7dHR9xNYXSSFNs9G
        jsJKru5bblsK4Yjm8tz8Mz0ajUihRANCAASmahDhVzDnLN3XYccG4H/cCF8W3Fwe
        MYfwp1MakZFd/Ux+C8R/0KMuPnoH1r0NOIIjZZ8Du2pCulsVeDowG4PU
        -----END PRIVATE KEY-----
        """

    static let otherP256Public = """
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpmoQ4Vcw5yzd12HHBuB/3AhfFtxc
        HjGH8KdTGpGRXf1MfgvEf9CjLj56B9a9DTiCI2WfA7tqQrpbFXg6MBuD1A==
        -----END PUBLIC KEY-----
        """

    static let p384Private = """
        -----BEGIN PRIVATE KEY-----
        MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDDdPspBscG1pR8oRyu3
        4T1755PE03G2l1QoO2yeGITMLEEELNygH3x0TGAi7uIpwSGhZANiAATup/RyUqfm
        8sZNGqf5T1xaE1AXd21DW7icSKsp5oDMhOERBEETGFbFPELTifjPwb8n0/f7Q4lp
        jZJnWEPars6BaDUR6OwkfeFHTvgNjT/nhwPwFCH/HrlSwJrAcrh02/Q=
        -----END PRIVATE KEY-----
        """

    static let p384Public = """
        -----BEGIN PUBLIC KEY-----
        MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE7qf0clKn5vLGTRqn+U9cWhNQF3dtQ1u4
        nEirKeaAzIThEQRBExhWxTxC04n4z8G/J9P3+0OJaY2SZ1hD2q7OgWg1EejsJH3h
        R074DY0/54cD8BQh/x65UsCawHK4dNv0
        -----END PUBLIC KEY-----
        """

    static let p521Private = """
        -----BEGIN PRIVATE KEY-----
        MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIA7Xl/FIvrk7C1rWH5
        brSeG9+wVvpvaYbpLLEkP4RGA937gtYIMuEG5LVtCd3XgqpXZ0D20t9QbYTMZIsl
        ru1BUOyhgYkDgYYABACXz8QKtdAao/FYqrIWFdkhoFNkRnsweolE654ISksxq2/6
        Nj5Rj2QhsKRalln7jvyQIeBKp932JMviKZXQb+uVWAFW2PY/f+1MMEvQuohikVAN
        nskfWBR0M2aPLv+/CAl2Uma/7O+ic2QfKJoZUu9XyVX0XDO/NFylhU00rVKJLlcF
        pQ==
        -----END PRIVATE KEY-----
        """

    static let p521Public = """
        -----BEGIN PUBLIC KEY-----
        MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAl8/ECrXQGqPxWKqyFhXZIaBTZEZ7
        MHqJROueCEpLMatv+jY+UY9kIbCkWpZZ+478kCHgSqfd9iTL4imV0G/rlVgBVtj2
        P3/tTDBL0LqIYpFQDZ7JH1gUdDNmjy7/vwgJdlJmv+zvonNkHyiaGVLvV8lV9Fwz
        vzRcpYVNNK1SiS5XBaU=
        -----END PUBLIC KEY-----
        """

    /// 1024 bits.
    static let shortRSAPrivate = """
        -----BEGIN PRIVATE KEY-----
        MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAM/qwVjBB4CB3s6k
        c+VM66NpHWoK25k+YN7FPtmD7Zez+ysDTuv4b5e5O3lDd01A62RIfp3xg17QZNuN
        Tlj4alPj9QkwfQJGLWkSxKag5Y0MEvzIrsvPNvtanAo/WBUXKXIOqbNa1g8kBsoL
        PKQrLGiODFxW8nGHQBE1DhBdBK6LAgMBAAECgYEAsrRatLdMhGabo87zki2YBx8M
        2h00/DUCO9cbGwfqyc43XpP8XJNvDuB1vtd/DhZzfAFXWte/i1ngpliA87WoZJ/Z
        n085aukAGMapQp4+dH0jzuwYfP/BHSEh2c7mBdy5m2EVbd/k8NUJSHw1CaUV8VoH
        o086omOifgf4kgIh4SkCQQDogZm2aAdkYuxqILoCfz+qgvdphf/l0bcaxe5Uop6e
        zwFJ0rAwjHNMESNmIMFEjHJV+aVU0y/aeS0OQ5Z/satnAkEA5O0WiF8vi15OJQG0
        F/rX6ADdxiCdlznzidVuocxsgAlKE5UteHipXUBa1i9hHKneCDjB227eR818tPTV
        PysRPQJBAIt+9lJSJ9063Mzvxaop3nDXEsnk85tXL5yIlG2DA9gUKpm4Jq16FtLU
        lYB4tnwCJ7cdiOxTqKpTeYzNUEZcupECQG4/qBxhCvqpniTAX0U1LwmycRvb1Ulh
        RWJaAX+2fYJj9uLbcxyTr60TMyv3gWNWg3GeM+5DxJT751UWnCRhz1kCQD0uvN+U
        7I2hKehPszxz1TqMKG5lelHPU4T/9S/j407ARqXeeQHeJFyDuBIRi/cP/l1NHp0i
        1cxThBGdT13OrdY=
        -----END PRIVATE KEY-----
        """

    static let shortRSAPublic = """
        -----BEGIN PUBLIC KEY-----
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDP6sFYwQeAgd7OpHPlTOujaR1q
        CtuZPmDexT7Zg+2Xs/srA07r+G+XuTt5Q3dNQOtkSH6d8YNe0GTbjU5Y+GpT4/UJ
        MH0CRi1pEsSmoOWNDBL8yK7Lzzb7WpwKP1gVFylyDqmzWtYPJAbKCzykKyxojgxc
        VvJxh0ARNQ4QXQSuiwIDAQAB
        -----END PUBLIC KEY-----
        """

    static let secp256k1Public = """
        -----BEGIN PUBLIC KEY-----
        MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEoIr5dtEU4ul4EMCSFnsQekB6t4NLOGh5
        65pHDdVgZ5mF+ORAD7La6ICA02BrcNreD+BtqlrsP5m2Hfq6wMpzJA==
        -----END PUBLIC KEY-----
        """

    static let ed25519Public = """
        -----BEGIN PUBLIC KEY-----
        MCowBQYDK2VwAyEAzBcy5cXnl8vyz9LxdyojNHMOolIhHFyb3FzjcFbrB2k=
        -----END PUBLIC KEY-----
        """

    /// The P-256 key behind a passphrase.
    static let encryptedPrivate = """
        -----BEGIN ENCRYPTED PRIVATE KEY-----
        MIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBBQZSFPRV+wiQYLx1WQ
        NZPSAgIIADAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQ6AgoXltCf8ndXaNM
        eqFsEASBkBZfaa5sA35Cv9U/EvT/peCdxh2SIGiE7TUha1ZpeXZUAl1dD4MzJ3WO
        WaaJqo04jkzt40qT6m6yyGGqLAPSLDk2AgwLh4Bd743Oyrx0e2aOUuMo/O2p6wTt
        pI8ec9HEeNciVg3/94zat0B0k0Zq7BTe6Tzs6xd6m90WXjCoYpG9TaR05G2tCU3K
        v8Otsi6AhQ==
        -----END ENCRYPTED PRIVATE KEY-----
        """
}

/// Public keys as issuers publish them (RFC 7517), with their coordinates as OpenSSL computed them.
enum TestJWK {
    static let rsaModulus = """
        0Gr4ciSa4kqo9Q1mva1gRRXuUT6aAKSTc8DzL9hOYuSHIOKfrVaZcE9CVRpGXMa6io78eZ4ljRyprf9_n87to06wlk0Oy2Kdl_vQ\
        umXmMnKXkzQLU69NQjOoNIQOJfyEWkjFOZTtZqrzpHy3z9M2DlvOV3NUAHAEqbnhtc8nh7DuTPjhp5EE19o0sxPTkwKh19LQGhjH\
        G1YpZanxveSjVEGMqm4WWzUrpI6NjmfBl8jLdTL5MS8zWkvfcIvvfjOtY5iPjNcFzczUE2OcE1DfOSKv0qkKM9IJfB8RHiSaSptr\
        NrF7LQo5xGGHKZ9gTRz3mRzVCs9MQ1zxJj7tEaSU0Q
        """
    static let otherRSAModulus = """
        _WLqPduwIkNIA3Gjip0H_hOndpkTtJ2sZUXKNs79UxyPkbrTLfW52r6sVDY2bpc6KYaUKWNiZn2WAkREtymNK8r-4wZvYlAsRXc0\
        n9d0j3rqMV65DGB0hCUbSo1xk4YdOqdYZSFuMRCe26W9kxixUpJ2x4F5JNlf1Q1Dc6t7-tooxaAh3JyKuoC-27hnCNFs3CupIsnf\
        HhSu0z_qWGk7xmo1vSxFTP19mTAHmmSve09dqLuJrXNQfZh8-MqpqEXtQljky9h51anb-U5h5xGX1zGifgrorJVA55Cf4dN7QDfc\
        jLIDNjrirCZv3yALeRpUFd_sLQZCK-zXEyq1u5DtUw
        """
    static let shortRSAModulus = """
        z-rBWMEHgIHezqRz5Uzro2kdagrbmT5g3sU-2YPtl7P7KwNO6_hvl7k7eUN3TUDrZEh-nfGDXtBk241OWPhqU-P1CTB9AkYtaRLE\
        pqDljQwS_Miuy882-1qcCj9YFRcpcg6ps1rWDyQGygs8pCssaI4MXFbycYdAETUOEF0Eros
        """
    static let p256 = (
        x: "n_U1NsK4CsejA4i4GBS3lQuuNr__32c1QWvPNjbEDiU", y: "bkV-Ms06su3D2K4bxhK8h6ZZnnozuR92J7KbIYg0VfI"
    )
    static let otherP256 = (
        x: "pmoQ4Vcw5yzd12HHBuB_3AhfFtxcHjGH8KdTGpGRXf0", y: "TH4LxH_Qoy4-egfWvQ04giNlnwO7akK6WxV4OjAbg9Q"
    )
    static let p384 = (
        x: "7qf0clKn5vLGTRqn-U9cWhNQF3dtQ1u4nEirKeaAzIThEQRBExhWxTxC04n4z8G_",
        y: "J9P3-0OJaY2SZ1hD2q7OgWg1EejsJH3hR074DY0_54cD8BQh_x65UsCawHK4dNv0"
    )
    static let p521 = (
        x: "AJfPxAq10Bqj8ViqshYV2SGgU2RGezB6iUTrnghKSzGrb_o2PlGPZCGwpFqWWfuO_JAh4Eqn3fYky-IpldBv65VY",
        y: "AVbY9j9_7UwwS9C6iGKRUA2eyR9YFHQzZo8u_78ICXZSZr_s76JzZB8omhlS71fJVfRcM780XKWFTTStUokuVwWl"
    )
    static let secp256k1 = (
        x: "oIr5dtEU4ul4EMCSFnsQekB6t4NLOGh565pHDdVgZ5k", y: "hfjkQA-y2uiAgNNga3Da3g_gbapa7D-Zth36usDKcyQ"
    )
}
